--- Inline completions by Neovim itself, from 0.12 on; here is only what it has no word for: accepting a part, asking
--- again or at once, and files with line ends from DOS.
local parts = require('memberwise.parts')

local M = {}
local METHOD = 'textDocument/inlineCompletion'
local INVOKED = 1 -- InlineCompletionTriggerKind
local known = {} ---@type table<integer, true> clients whose questions pass through here
local wanted ---@type { buffer: integer, tick: integer }? where somebody asks, and the text as it was then

--- Neovim shows and inserts the text as it comes, with carriage returns where the file has them.
---@param handler function
---@return function
local function without_carriage_returns(handler)
  return function(err, answer, ...)
    for _, item in ipairs(answer and answer.items or {}) do
      item.insertText = parts.lines_of_a_buffer(item.insertText)
    end
    handler(err, answer, ...)
  end
end

--- Whether the question that Neovim puts is the one that somebody asked.
---@param buffer integer
---@return boolean
local function is_wanted(buffer)
  local asked = wanted
  wanted = nil
  return asked ~= nil and asked.buffer == buffer and asked.tick == vim.api.nvim_buf_get_changedtick(buffer)
end

--- Let Neovim's questions for inline completions, and their answers, pass through here.
---@param client vim.lsp.Client
local function intercept(client)
  local request = client.request
  ---@diagnostic disable-next-line: duplicate-set-field
  function client:request(method, params, handler, buffer)
    if method == METHOD and handler then
      handler = without_carriage_returns(handler)
      if buffer and is_wanted(buffer) then
        params.context.triggerKind = INVOKED
      end
    end
    return request(self, method, params, handler, buffer)
  end
end

---@param client vim.lsp.Client
---@param _ integer
function M.attach(client, _)
  if not known[client.id] then
    known[client.id] = true
    intercept(client)
  end
  vim.lsp.inline_completion.enable(true, { client_id = client.id })
end

--- Ask once more, though nothing was typed.
---@param _ vim.lsp.Client
---@param buffer integer
function M.again(_, buffer)
  vim.api.nvim_exec_autocmds('CursorMovedI', { buffer = buffer, modeline = false }) -- what Neovim asks after
end

--- Somebody asks. Neovim says of every question of its own that nobody did.
---@param client vim.lsp.Client
---@param buffer integer
function M.ask(client, buffer)
  wanted = { buffer = buffer, tick = vim.api.nvim_buf_get_changedtick(buffer) }
  M.again(client, buffer)
end

--- What of an item stands in the buffer already, up to the cursor.
---@param item vim.lsp.inline_completion.Item
---@return string
local function typed(item)
  if not item.range then
    return ''
  end
  local row, column = item.range:to_extmark()
  local last, cursor = unpack(vim.api.nvim_win_get_cursor(0))
  return table.concat(vim.api.nvim_buf_get_text(0, row, column, last - 1, cursor, {}), '\n')
end

--- Put a word or a line of an item at the cursor; the rest comes again with the next question.
---@param item vim.lsp.inline_completion.Item
---@param part 'word'|'line'
local function insert_part(item, part)
  local text = item.insert_text
  local rest = type(text) == 'string' and parts.rest(text, typed(item))
  if rest then
    vim.api.nvim_paste(parts.first(rest, part), false, 0)
  end
end

--- Accept what is shown; false when nothing is.
---@param part? 'word'|'line'
---@return boolean
function M.accept(part)
  return vim.lsp.inline_completion.get({
    on_accept = part and function(item)
      insert_part(item, part)
    end or nil,
  })
end

--- Take away what is shown, until the next key; false when nothing is.
---@return boolean
function M.dismiss()
  return vim.lsp.inline_completion.get({ on_accept = function() end })
end

return M
