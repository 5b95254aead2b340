--- Pausing: `enabled`, as it was said last, for the servers that run and for those that start later.
local M = {}

local enabled ---@type boolean? nil leaves it to the settings

--- Write it into settings in place: a client that is starting has no others.
---@param settings table
local function apply(settings)
  settings.memberwise = vim.tbl_extend('force', settings.memberwise or {}, { enabled = enabled })
end

--- Pause or go on; servers that run ask for their settings again.
---@param on boolean
function M.enable(on)
  enabled = on
  for _, client in ipairs(vim.lsp.get_clients({ name = 'memberwise' })) do
    apply(client.settings)
    client:notify('workspace/didChangeConfiguration', { settings = client.settings })
  end
end

--- A server starts: in another folder, or anew.
---@param config vim.lsp.ClientConfig
function M.starting(config)
  if enabled ~= nil then
    apply(config.settings)
  end
end

return M
