--- What the servers say they are doing.
local M = {}

---@class memberwise.Status
---@field busy boolean
---@field kind 'loading'|'ready'|'empty'|'paused'|'error'
---@field message string
---@field percent? integer of what is loading, where that is known

---@type table<integer, memberwise.Status>
local latest = {}

--- A server has said something new.
---@param client_id integer
---@param status memberwise.Status
function M.changed(client_id, status)
  latest[client_id] = status
  vim.cmd.redrawstatus({ bang = true })
  vim.api.nvim_exec_autocmds('User', { pattern = 'MemberwiseStatus', data = status, modeline = false })
end

---@param client_id integer
---@return memberwise.Status
function M.of(client_id)
  return latest[client_id] or { busy = true, kind = 'loading', message = 'starting' }
end

--- Short: `memberwise: loading the model default 40 %`.
---@param client_id integer
---@return string
function M.line(client_id)
  local status = M.of(client_id)
  if status.kind == 'ready' then
    return status.busy and 'memberwise: ' .. status.message or 'memberwise'
  end
  local percent = type(status.percent) == 'number' and (' %d %%'):format(status.percent) or ''
  return ('memberwise: %s%s'):format(status.message, percent)
end

return M
