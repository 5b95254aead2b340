--- Inline completions by our own extmarks, for Neovim 0.11, which knows the method but shows nothing.
---
--- One text is shown at a time. It stays, shorter, while it is typed through; the server is asked after every change
--- and waits for a pause by itself. Imports come in the same step as the text. Start reading at `attach`.
local parts = require('memberwise.parts')

local M = {}
local namespace = vim.api.nvim_create_namespace('memberwise.ghost')

---@class memberwise.Item
---@field id string
---@field insertText string
---@field range lsp.Range
---@field additionalTextEdits lsp.TextEdit[]

---@class memberwise.Shown
---@field client vim.lsp.Client
---@field buffer integer
---@field item memberwise.Item
---@field row integer where the item starts, 0-based
---@field column integer in bytes

---@type memberwise.Shown?
local shown
---@type { client: vim.lsp.Client, id: integer }?
local asked

--- What is typed of the shown item, or nil when the cursor has left it.
---@return string?
local function typed()
  if not shown or vim.api.nvim_get_current_buf() ~= shown.buffer then
    return nil
  end
  local row, column = unpack(vim.api.nvim_win_get_cursor(0))
  if row - 1 < shown.row or (row - 1 == shown.row and column < shown.column) then
    return nil
  end
  return table.concat(vim.api.nvim_buf_get_text(shown.buffer, shown.row, shown.column, row - 1, column, {}), '\n')
end

--- What is still to come of the shown item.
---@return string?
local function rest()
  local already = typed()
  return shown and already and parts.rest(shown.item.insertText, already)
end

local function clear()
  if shown and vim.api.nvim_buf_is_valid(shown.buffer) then
    vim.api.nvim_buf_clear_namespace(shown.buffer, namespace, 0, -1)
  end
end

--- Take away what is shown and stop asking.
function M.dismiss()
  clear()
  shown = nil
  if asked then
    asked.client:cancel_request(asked.id)
    asked = nil
  end
end

--- Show the rest at the cursor; false when nothing is left.
---@return boolean
local function draw()
  clear()
  local text = rest()
  if not shown or not text then
    shown = nil
    return false
  end
  local lines = vim.split(text, '\n', { plain = true })
  local below = vim.tbl_map(function(line)
    return { { line, 'MemberwiseGhost' } }
  end, vim.list_slice(lines, 2))
  local row, column = unpack(vim.api.nvim_win_get_cursor(0))
  vim.api.nvim_buf_set_extmark(shown.buffer, namespace, row - 1, column, {
    virt_text = { { lines[1], 'MemberwiseGhost' } },
    virt_text_pos = 'inline',
    virt_lines = below,
    hl_mode = 'combine',
  })
  return true
end

---@param client vim.lsp.Client
---@param buffer integer
---@param item memberwise.Item
local function show(client, buffer, item)
  clear()
  local start = item.range.start
  local line = vim.api.nvim_buf_get_lines(buffer, start.line, start.line + 1, false)[1] or ''
  local column = vim.str_byteindex(line, client.offset_encoding, start.character, false)
  shown = { client = client, buffer = buffer, item = item, row = start.line, column = column }
  if draw() then
    client:notify('memberwise/didShowCompletion', { id = item.id })
  end
end

--- Ask for the text at the cursor.
---@param client vim.lsp.Client
---@param buffer integer
local function ask(client, buffer)
  if asked then
    asked.client:cancel_request(asked.id)
  end
  local params = vim.lsp.util.make_position_params(0, client.offset_encoding)
  ---@diagnostic disable-next-line: inject-field
  params.context = { triggerKind = 2 }
  local ok, id = client:request('memberwise/streamInlineCompletion', params, function(err, answer)
    if err then
      return -- overtaken: what is shown stays, until it is wrong
    end
    asked = nil
    if vim.api.nvim_get_mode().mode ~= 'i' or vim.api.nvim_get_current_buf() ~= buffer then
      return
    end
    if answer.items[1] then
      show(client, buffer, answer.items[1])
    elseif not rest() then
      M.dismiss()
    end
  end, buffer)
  asked = ok and id and { client = client, id = id } or nil
end

--- Ask once more, though nothing was typed.
M.again = ask

--- Put the text, or a part of it, into the buffer; false when nothing is shown.
---@param part? 'word'|'line'
---@return boolean
function M.accept(part)
  local text = rest()
  if not shown or not text then
    return false
  end
  local current, some = shown, parts.first(text, part)
  vim.schedule(function() -- an expression mapping may not change the buffer
    local row, column = unpack(vim.api.nvim_win_get_cursor(0))
    local lines = vim.split(some, '\n', { plain = true })
    vim.api.nvim_buf_set_text(current.buffer, row - 1, column, row - 1, column, lines)
    local last = #lines[#lines] + (#lines == 1 and column or 0)
    vim.api.nvim_win_set_cursor(0, { row + #lines - 1, last })
    if #some < #text then
      current.client:notify('memberwise/didPartiallyAcceptCompletion', { id = current.item.id, acceptedLength = #some })
      draw()
      return
    end
    M.dismiss()
    vim.lsp.util.apply_text_edits(current.item.additionalTextEdits, current.buffer, current.client.offset_encoding)
    current.client:notify('memberwise/didAcceptCompletion', { id = current.item.id })
  end)
  return true
end

--- Show completions in a buffer.
---@param client vim.lsp.Client
---@param buffer integer
function M.attach(client, buffer)
  vim.api.nvim_set_hl(0, 'MemberwiseGhost', { link = 'NonText', default = true })
  local group = vim.api.nvim_create_augroup('memberwise.ghost.' .. buffer, {})
  local events = { group = group, buffer = buffer }
  vim.api.nvim_create_autocmd({ 'TextChangedI', 'TextChangedP', 'InsertEnter' }, vim.tbl_extend('force', events, {
    callback = function()
      draw()
      ask(client, buffer)
    end,
  }))
  vim.api.nvim_create_autocmd('CursorMovedI', vim.tbl_extend('force', events, {
    callback = function()
      if shown then
        draw()
      end
    end,
  }))
  vim.api.nvim_create_autocmd({ 'InsertLeave', 'BufLeave' }, vim.tbl_extend('force', events, { callback = M.dismiss }))
end

return M
