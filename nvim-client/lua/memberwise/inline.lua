--- Text at the cursor, shown by Neovim itself where it can (0.12), else by us; and the keys that accept it.
local M = {}

local function shower()
  return vim.lsp.inline_completion and require('memberwise.native') or require('memberwise.ghost')
end

--- Accept what is shown, or a part of it; false when there is nothing.
---@param part? 'word'|'line'
---@return boolean
function M.accept(part)
  return shower().accept(part)
end

---@param buffer integer
---@param name string
---@param does string
---@param action fun(): boolean
local function map(buffer, name, does, action)
  local key = require('memberwise').keys[name]
  if key then
    vim.keymap.set('i', key, function()
      return action() and '' or key
    end, { buffer = buffer, expr = true, replace_keycodes = true, desc = 'Memberwise: ' .. does })
  end
end

--- A server of ours has attached to a buffer.
---@param client vim.lsp.Client
---@param buffer integer
function M.attach(client, buffer)
  shower().attach(client, buffer)
  map(buffer, 'accept', 'accept the text', function()
    return M.accept()
  end)
  map(buffer, 'accept_word', 'accept a word', function()
    return M.accept('word')
  end)
  map(buffer, 'accept_line', 'accept a line', function()
    return M.accept('line')
  end)
  map(buffer, 'dismiss', 'dismiss the text', function()
    vim.schedule(shower().dismiss)
    return true
  end)
end

return M
