--- A server that ends by itself is started again, three times in three minutes; then somebody has to look.
local M = {}

local MOST, WITHIN_MS, PAUSE_MS = 3, 180000, 300
local restarts = {} ---@type integer[] when, in ms

---@return boolean
local function too_many()
  restarts = vim.tbl_filter(function(at)
    return vim.uv.now() - at < WITHIN_MS
  end, restarts)
  return #restarts >= MOST
end

--- Start a server for every Python buffer that has none, unless it would end like those before it.
---@param answered boolean whether the one that ended had got as far as to answer
local function restart(answered)
  if vim.v.exiting ~= vim.NIL or not vim.lsp.is_enabled('memberwise') then
    return
  end
  if not answered or too_many() then
    local what = answered and 'has ended again and again' or 'does not start'
    local message = 'memberwise: the server ' .. what .. '; see :checkhealth memberwise, then :Memberwise restart'
    vim.notify(message, vim.log.levels.ERROR)
    return
  end
  table.insert(restarts, vim.uv.now())
  vim.lsp.enable('memberwise')
end

--- Somebody has looked: count anew.
function M.forget()
  restarts = {}
end

--- A server has ended.
---@param code integer
---@param signal integer
---@param client_id integer
function M.ended(code, signal, client_id)
  if (code == 0 and signal == 0) or signal == 15 then
    return -- it was asked to
  end
  local client = vim.lsp.get_client_by_id(client_id)
  local answered = client ~= nil and client.initialized == true
  vim.defer_fn(function()
    restart(answered)
  end, PAUSE_MS)
end

return M
