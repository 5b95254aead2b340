--- `:checkhealth memberwise`
local M = {}

---@param command string[]
---@return vim.SystemCompleted?
local function output(command)
  local ok, done = pcall(function()
    return vim.system(command, { text = true, timeout = 20000 }):wait()
  end)
  return ok and done or nil
end

local function check_editor()
  if vim.fn.has('nvim-0.11') == 0 then
    vim.health.error('Neovim is older than 0.11', 'Install Neovim 0.11 or later')
  elseif vim.lsp.inline_completion then
    vim.health.ok('Neovim ' .. tostring(vim.version()) .. ' shows inline completions by itself')
  else
    vim.health.ok('Neovim ' .. tostring(vim.version()) .. ': this plugin shows inline completions')
  end
end

---@param command string
local function check_models(command)
  local done = output({ command, 'model', 'list', '--json' })
  if not done or done.code ~= 0 then
    vim.health.error(command .. ' model list does not run', done and vim.trim(done.stderr) or nil)
    return
  end
  local names = vim.tbl_map(function(model)
    return model.provenance.name
  end, vim.json.decode(done.stdout))
  if #names > 0 then
    vim.health.ok('models: ' .. table.concat(names, ', '))
  else
    vim.health.warn('no model is on this machine', 'Fetch the default one: memberwise model pull default')
  end
end

---@param command string
local function check_server(command)
  local done = output({ command, '--version' })
  if not done or done.code ~= 0 then
    vim.health.error(command .. ' does not run', {
      "Install it, in the repository of Memberwise: pip install -c constraints.txt -e '.[model,server]'",
      "Or say where it is: require('memberwise').setup({ cmd = { '/path/to/memberwise', 'serve' } })",
    })
    return
  end
  vim.health.ok(('%s (%s)'):format(vim.trim(done.stdout), vim.fn.exepath(command)))
  check_models(command)
end

local function check_clients()
  local clients = vim.lsp.get_clients({ name = 'memberwise' })
  if #clients == 0 then
    vim.health.info('no server runs now: open a Python file')
  end
  for _, client in ipairs(clients) do
    local status = require('memberwise.status').of(client.id)
    local tell = status.kind == 'error' and vim.health.error or vim.health.ok
    tell(('the server of %s: %s (%s)'):format(client.root_dir or 'no folder', status.message, status.kind))
  end
end

function M.check()
  vim.health.start('memberwise')
  check_editor()
  if not vim.lsp.is_enabled('memberwise') then
    vim.health.warn('the server is not enabled', "Put require('memberwise').setup() into your init.lua")
  end
  local config = vim.lsp.config['memberwise']
  local command = config and config.cmd
  if type(command) == 'table' then
    check_server(command[1])
  end
  check_clients()
end

return M
