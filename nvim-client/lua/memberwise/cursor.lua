--- Tell the server where the cursor rests, so that it has read the place before somebody types there.
local M = {}

local REST_MS = 200
local timer = assert(vim.uv.new_timer())

---@param client vim.lsp.Client
---@param buffer integer
local function tell(client, buffer)
  if vim.api.nvim_get_current_buf() == buffer and not client:is_stopped() then
    client:notify('memberwise/didMoveCursor', vim.lsp.util.make_position_params(0, client.offset_encoding))
  end
end

--- Watch the cursor in a buffer that the server has attached to.
---@param client vim.lsp.Client
---@param buffer integer
function M.attach(client, buffer)
  vim.api.nvim_create_autocmd({ 'BufEnter', 'CursorMoved', 'InsertEnter' }, {
    group = vim.api.nvim_create_augroup(('memberwise.cursor.%d'):format(buffer), {}),
    buffer = buffer,
    callback = function()
      timer:start(REST_MS, 0, vim.schedule_wrap(function()
        tell(client, buffer)
      end))
    end,
  })
  tell(client, buffer)
end

return M
