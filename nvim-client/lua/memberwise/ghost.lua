--- Inline completions by our own extmarks, for Neovim 0.11, which knows the method but shows nothing.
---
--- One text is shown at a time. It stays, shorter, while it is typed through; the server is asked after every change
--- and waits for a pause by itself. Imports come in the same step as the text. Start reading at `attach`.
local parts = require('memberwise.parts')

local M = {}
local namespace = vim.api.nvim_create_namespace('memberwise.ghost')
local places = vim.api.nvim_create_namespace('memberwise.places')
local INVOKED, AUTOMATIC = 1, 2 -- InlineCompletionTriggerKind

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
---@type { client: vim.lsp.Client, id: integer }? the question whose answer counts
local asked
---@type { shown: memberwise.Shown, rest: string, text: string, place: fun(): integer, integer }? accepted, and not there yet
local coming

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

--- Take away what is shown and stop asking; false when nothing is shown.
---@return boolean
function M.dismiss()
  local any = rest() ~= nil
  clear()
  shown = nil
  if asked then
    asked.client:cancel_request(asked.id)
    asked = nil
  end
  return any
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
  item.insertText = parts.lines_of_a_buffer(item.insertText)
  local start = item.range.start
  local line = vim.api.nvim_buf_get_lines(buffer, start.line, start.line + 1, false)[1] or ''
  local column = vim.str_byteindex(line, client.offset_encoding, start.character, false)
  shown = { client = client, buffer = buffer, item = item, row = start.line, column = column }
  if draw() then
    client:notify('memberwise/didShowCompletion', { id = item.id })
  end
end

--- Put the question for the text at the cursor.
---@param client vim.lsp.Client
---@param buffer integer
---@param kind integer
local function request(client, buffer, kind)
  if asked then
    asked.client:cancel_request(asked.id)
  end
  local params = vim.lsp.util.make_position_params(0, client.offset_encoding)
  ---@diagnostic disable-next-line: inject-field
  params.context = { triggerKind = kind }
  local question = { client = client }
  local ok, id = client:request('memberwise/streamInlineCompletion', params, function(err, answer)
    if asked ~= question then
      return -- overtaken: what is shown stays, until it is wrong
    end
    asked = nil
    if err or not vim.startswith(vim.api.nvim_get_mode().mode, 'i') or vim.api.nvim_get_current_buf() ~= buffer then
      return
    end
    if answer.items[1] then
      show(client, buffer, answer.items[1])
    elseif not rest() then
      M.dismiss()
    end
  end, buffer)
  question.id = id
  asked = ok and id and question or nil
end

--- Ask once more, though nothing was typed.
---@param client vim.lsp.Client
---@param buffer integer
function M.again(client, buffer)
  request(client, buffer, AUTOMATIC)
end

--- Somebody asks.
---@param client vim.lsp.Client
---@param buffer integer
function M.ask(client, buffer)
  request(client, buffer, INVOKED)
end

--- Mark where the cursor is.
---@param moves boolean whether what comes in there moves the mark
---@return fun(): integer, integer takes the mark away and says where it was, 0-based
local function mark_cursor(moves)
  local row, column = unpack(vim.api.nvim_win_get_cursor(0))
  local mark = vim.api.nvim_buf_set_extmark(0, places, row - 1, column, { right_gravity = moves })
  return function()
    local place = vim.api.nvim_buf_get_extmark_by_id(0, places, mark, {})
    vim.api.nvim_buf_del_extmark(0, places, mark)
    return unpack(place)
  end
end

--- Put what was accepted where the cursor was; keys that came since stay behind it.
local function insert()
  local now = assert(coming)
  local current = now.shown
  coming = nil
  if vim.api.nvim_get_current_buf() ~= current.buffer then
    return
  end
  local row, column = now.place()
  local cursor = mark_cursor(true)
  vim.api.nvim_buf_set_text(current.buffer, row, column, row, column, vim.split(now.text, '\n', { plain = true }))
  row, column = cursor()
  vim.api.nvim_win_set_cursor(0, { row + 1, column })
  if now.text ~= now.rest then
    local length = vim.str_utfindex(now.text, current.client.offset_encoding)
    current.client:notify('memberwise/didPartiallyAcceptCompletion', { id = current.item.id, acceptedLength = length })
    draw()
    return
  end
  M.dismiss()
  vim.lsp.util.apply_text_edits(current.item.additionalTextEdits, current.buffer, current.client.offset_encoding)
  current.client:notify('memberwise/didAcceptCompletion', { id = current.item.id })
end

--- Accept the text, or a part of it; false when nothing is shown.
---@param part? 'word'|'line'
---@return boolean
function M.accept(part)
  local text = rest()
  if not shown or not text or (coming and (coming.rest ~= text or coming.text == text)) then
    return false
  end
  if coming then
    coming.text = coming.text .. parts.first(text:sub(#coming.text + 1), part)
    return true
  end
  coming = { shown = shown, rest = text, text = parts.first(text, part), place = mark_cursor(false) }
  vim.schedule(insert) -- an expression mapping may not change the buffer
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
      request(client, buffer, AUTOMATIC)
    end,
  }))
  vim.api.nvim_create_autocmd('CursorMovedI', vim.tbl_extend('force', events, {
    callback = function()
      if shown then
        draw()
      end
    end,
  }))
  vim.api.nvim_create_autocmd({ 'InsertLeave', 'BufLeave' }, vim.tbl_extend('force', events, {
    callback = function()
      M.dismiss()
    end,
  }))
end

return M
