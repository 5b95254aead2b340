--- Text at the cursor, shown by Neovim itself where it can (0.12), else by us; and the keys that accept it.
local status = require('memberwise.status')

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

--- What is typed while the server gets ready is asked for when it is, not with the next key.
---@param client vim.lsp.Client
---@param buffer integer
local function ask_when_ready(client, buffer)
  local waiting ---@type integer? the text as it was typed
  local function loading()
    return status.of(client.id).kind == 'loading'
  end
  local group = vim.api.nvim_create_augroup('memberwise.waiting.' .. buffer, {})
  vim.api.nvim_create_autocmd('TextChangedI', {
    group = group,
    buffer = buffer,
    callback = function()
      waiting = loading() and vim.api.nvim_buf_get_changedtick(buffer) or nil
    end,
  })
  vim.api.nvim_create_autocmd('User', {
    group = group,
    pattern = 'MemberwiseStatus',
    callback = function()
      if not waiting or loading() then
        return
      end
      local here = vim.api.nvim_get_current_buf() == buffer and vim.api.nvim_get_mode().mode == 'i'
      if here and vim.api.nvim_buf_get_changedtick(buffer) == waiting then
        shower().again(client, buffer)
      end
      waiting = nil
    end,
  })
end

--- A server of ours has attached to a buffer.
---@param client vim.lsp.Client
---@param buffer integer
function M.attach(client, buffer)
  shower().attach(client, buffer)
  ask_when_ready(client, buffer)
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
