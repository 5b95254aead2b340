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

--- Ask for the text at the cursor: for more than comes by itself, also where nothing does. False without a server.
---@return boolean
function M.ask()
  local client, buffer = require('memberwise').client(), vim.api.nvim_get_current_buf()
  if not client then
    return false
  end
  vim.schedule(function() -- an expression mapping may not do all that a question does
    shower().ask(client, buffer)
  end)
  return true
end

--- Give a key an action, where there is nothing to do the meaning that it has in other buffers.
---@param buffer integer
---@param key string
---@param does string
---@param action fun(): boolean
local function map(buffer, key, does, action)
  vim.keymap.set('i', key, function()
    if not action() then
      vim.keymap.del('i', key, { buffer = buffer }) -- until the key was read again: it may be mapped to anything
      vim.api.nvim_feedkeys(vim.keycode(key), 'im', false)
      vim.schedule(function()
        if vim.api.nvim_buf_is_valid(buffer) then
          map(buffer, key, does, action)
        end
      end)
    end
    return ''
  end, { buffer = buffer, expr = true, desc = 'Memberwise: ' .. does })
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
      if not vim.api.nvim_buf_is_valid(buffer) then
        return true -- and is not called again
      end
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
  local actions = {
    accept = { 'accept the text', M.accept },
    accept_word = { 'accept a word', function() return M.accept('word') end },
    accept_line = { 'accept a line', function() return M.accept('line') end },
    ask = { 'ask for the text', M.ask },
    dismiss = { 'dismiss the text', shower().dismiss },
  }
  for name, action in pairs(actions) do
    local key = require('memberwise').keys[name]
    if key then
      map(buffer, key, unpack(action))
    end
  end
end

return M
