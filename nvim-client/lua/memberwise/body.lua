--- "Generate body": the text is shown below the function while it is written, and comes into the buffer as one step.
local M = {}
local namespace = vim.api.nvim_create_namespace('memberwise.body')
local CANCELLED, MODIFIED = -32800, -32801
local TOKENS = 'memberwise-body-'

---@type { client: vim.lsp.Client, id: integer, buffer: integer, token: string, mark: integer }?
local running
local tokens = 0

--- Show the text so far below the mark.
---@param text string
local function preview(text)
  if not running or not vim.api.nvim_buf_is_valid(running.buffer) then
    return
  end
  local row = vim.api.nvim_buf_get_extmark_by_id(running.buffer, namespace, running.mark, {})[1]
  local lines = vim.tbl_map(function(line)
    return { { line, 'MemberwiseGhost' } }
  end, vim.split(text:gsub('%s+$', ''), '\n', { plain = true }))
  vim.api.nvim_buf_set_extmark(running.buffer, namespace, row, 0, { id = running.mark, virt_lines = lines })
end

local function finish()
  local done = running
  running = nil
  if done and vim.api.nvim_buf_is_valid(done.buffer) then
    vim.api.nvim_buf_clear_namespace(done.buffer, namespace, 0, -1)
  end
end

--- A server may have ended; what it was writing does not come any more.
function M.look_after_server()
  if running and running.client:is_stopped() then
    finish()
    vim.notify('memberwise: the server has ended, nothing was changed', vim.log.levels.WARN)
  end
end

--- The last line of the function that has its header, or a line of its body, at `line`; all 0-based.
---@param lines string[]
---@param line integer
---@return integer
function M.last_line(lines, line)
  local function indent(text)
    return #text:match('^%s*')
  end
  local least = indent(lines[line + 1]) + (lines[line + 1]:find('%f[%w]def%s') and 1 or 0)
  local last = line
  for number = line + 2, #lines do
    if lines[number]:find('%S') then
      if indent(lines[number]) < least then
        break
      end
      last = number - 1
    end
  end
  return last
end

--- Say what came of it.
---@param err? lsp.ResponseError
---@param answer? { applied: boolean, candidates: table[] }
local function tell(err, answer)
  if err and err.code == CANCELLED then
    vim.notify('memberwise: cancelled, nothing was changed')
  elseif err then
    local again = err.code == MODIFIED and '; try again' or ''
    vim.notify('memberwise: ' .. err.message .. again, vim.log.levels.WARN)
  elseif answer and not answer.candidates[1] then
    vim.notify('memberwise: the model wrote nothing that fits here')
  elseif answer and not answer.applied then
    vim.notify('memberwise: Neovim did not apply the body', vim.log.levels.WARN)
  elseif answer then
    local problems = answer.candidates[1].problems
    local doubt = problems[1] and (' Look at: ' .. problems[1].message .. '.') or ''
    vim.notify('memberwise: u takes it back.' .. doubt)
  end
end

--- Write the body of the function around the cursor.
function M.generate()
  M.look_after_server()
  local client = require('memberwise').client()
  if not client or running then
    vim.notify('memberwise: ' .. (running and 'a body is being generated' or 'no server runs here'), vim.log.levels.WARN)
    return
  end
  local buffer, line = vim.api.nvim_get_current_buf(), vim.api.nvim_win_get_cursor(0)[1] - 1
  tokens = tokens + 1
  local token = TOKENS .. tokens
  local argument = { uri = vim.uri_from_bufnr(buffer), line = line, partialResultToken = token }
  local params = { command = 'memberwise.generateBody', arguments = { argument } }
  local below = M.last_line(vim.api.nvim_buf_get_lines(buffer, 0, -1, false), line)
  local mark = vim.api.nvim_buf_set_extmark(buffer, namespace, below, 0, {})
  local ok, id = client:request('workspace/executeCommand', params, function(err, answer)
    if running and running.token == token then
      finish()
    end
    tell(err, answer)
  end, buffer)
  if ok and id then
    running = { client = client, id = id, buffer = buffer, token = token, mark = mark }
  end
end

--- Stop it; the buffer stays as it is.
function M.cancel()
  if running then
    running.client:cancel_request(running.id)
    finish()
    tell({ code = CANCELLED, message = 'cancelled' }) -- Neovim drops the server's answer to what was cancelled
  end
end

--- A partial result has come. True when it was ours, also of a body that was cancelled.
---@param token string|integer
---@param value { text: string }
---@return boolean
function M.progressed(token, value)
  if running and token == running.token then
    preview(value.text)
  end
  return vim.startswith(tostring(token), TOKENS)
end

return M
