--- Memberwise in Neovim: settings and keys. Start reading at `setup`; everything else is in the modules beside.
local M = {}

---@class memberwise.Options
---@field cmd? string[] the command of the server; default: `memberwise serve`
---@field settings? table settings of the server, see docs/lsp-extensions.md
---@field keys? table<string, string|false> keys in insert mode: accept, accept_word, accept_line, ask, dismiss

---@type table<string, string|false>
M.keys = { accept = '<Tab>', accept_word = '<M-w>', accept_line = '<M-l>', ask = '<M-Bslash>', dismiss = '<C-]>' }

--- Start the server for Python files.
---@param options? memberwise.Options
function M.setup(options)
  options = options or {}
  vim.validate('options', options, 'table')
  M.keys = vim.tbl_extend('force', M.keys, options.keys or {})
  vim.lsp.config('memberwise', {
    cmd = options.cmd,
    settings = { memberwise = options.settings or vim.empty_dict() },
  })
  vim.lsp.enable('memberwise')
end

--- The client of a buffer, if there is one.
---@param buffer? integer
---@return vim.lsp.Client?
function M.client(buffer)
  return vim.lsp.get_clients({ name = 'memberwise', bufnr = buffer or 0 })[1]
end

--- What the server is doing, for a status line: `%{v:lua.require'memberwise'.statusline()}`.
---@return string
function M.statusline()
  local client = M.client()
  return client and require('memberwise.status').line(client.id) or ''
end

--- Accept the text that is shown; false when there is none. For keys of your own.
---@param part? 'word'|'line' only so much of it
---@return boolean
function M.accept(part)
  return require('memberwise.inline').accept(part)
end

--- Ask for the text at the cursor, in insert mode; false without a server. For keys of your own.
---@return boolean
function M.ask()
  return require('memberwise.inline').ask()
end

return M
