-- The plugin in a real Neovim, with the real server and the default model, on a copy of a real repository.
--
--   nvim -l test/session.lua REPOSITORY SERVER ARTEFACTS EDITOR...
--
-- EDITOR is the command of the Neovim that is driven, over its RPC, by keys as a person presses them.
local repository, server, artefacts = arg[1], arg[2], arg[3]
local editor = vim.list_slice(arg, 4)
local plugin = vim.fs.dirname(vim.fs.dirname(vim.fs.abspath(arg[0])))
local HEAD = '"""Commands of the demo."""\n\nfrom click.core import Context\n\n\n'
local USAGE = HEAD .. 'def usage(context: Context) -> str:\n    """The usage of the command."""\n'
local STUB = HEAD .. 'def close_all(contexts: list[Context]) -> None:\n    """Close every context, the last one first, and count them."""\n    ...\n'

-- A member that is nowhere but in this copy, so that no installed package can be where it was found.
vim.fn.writefile({ '[project]', 'name = "click"' }, repository .. '/pyproject.toml')
local ledger = { 'class Ledger:', '    """Keeps the books."""', '', '    def tally_of_march(self) -> int:', '        return 3' }
vim.fn.writefile(ledger, repository .. '/click/ledger.py')
local SUMS = '"""Sums."""\n\nfrom click.ledger import Ledger\n\n\ndef total(ledger: Ledger) -> int:\n    """The tally of the month."""\n'

local init = vim.fn.tempname() .. '.lua'
vim.fn.writefile({
  ('vim.opt.runtimepath:prepend(%q)'):format(plugin),
  'vim.opt.swapfile = false',
  'vim.opt.termguicolors = true', -- for the pictures
  ('require("memberwise").setup({ cmd = { %q, "serve" } })'):format(server),
}, init)
local command = vim.list_extend(vim.deepcopy(editor), { '--embed', '--headless', '-u', init, '-i', 'NONE' })
local nvim = vim.fn.jobstart(command, { rpc = true, cwd = repository, env = { XDG_STATE_HOME = vim.fn.tempname() } })
assert(nvim > 0, 'the editor did not start')

local function ask(method, ...)
  return vim.rpcrequest(nvim, method, ...)
end
local function lua(code, ...)
  return ask('nvim_exec_lua', code, { ... })
end
local function lines()
  return ask('nvim_buf_get_lines', 0, 0, -1, true)
end
local function keys(typed)
  ask('nvim_input', typed)
end

local GREY = vim.fs.joinpath(plugin, 'test', 'grey.lua')
local function ghost()
  return lua('return dofile(...)', GREY)
end
local function status()
  return lua('return require("memberwise").statusline()')
end

local function wait(what, check, ms)
  local found
  local ok = vim.wait(ms or 60000, function()
    found = check()
    return found
  end, 40)
  if not ok then
    error(('timeout: %s; ghost %q, status %q, messages %s'):format(what, ghost(), status(), ask('nvim_exec2', 'messages', { output = true }).output))
  end
  return found
end

local function open(name, text)
  keys('<Esc>')
  local path = repository .. '/click/' .. name
  vim.fn.writefile(vim.split(text, '\n'), path, 'b')
  ask('nvim_command', 'edit! ' .. path)
  wait('the server attaches', function()
    return lua('return require("memberwise").client() ~= nil')
  end)
  keys('G')
end

--- Change a setting of the server that runs. When it has answered something else, it has asked for the settings.
local function set(name, value)
  lua([[
    local name, value = ...
    local client = require('memberwise').client()
    client.settings.memberwise[name] = value
    client:notify('workspace/didChangeConfiguration', { settings = client.settings })
    client:request_sync('memberwise/status', vim.empty_dict())
  ]], name, value)
end

--- A page of what the window shows, its virtual text included, for a picture.
local function page(name)
  if lua('return pcall(require, "tohtml")') then
    local html = lua('return require("tohtml").tohtml(0)')
    vim.fn.writefile(html, ('%s/neovim-%s.html'):format(artefacts, name))
  end
end

local steps = {}
local function step(name, run)
  table.insert(steps, { name = name, run = run })
end

step('completes what was typed before it was ready, without another key', function()
  open('nvim_early.py', USAGE)
  assert(status() ~= 'memberwise', 'it is ready already')
  keys('oreturn context.get')
  wait('ghost text', function()
    return ghost():find('^_usage')
  end)
end)

step('gets ready, and says so', function()
  open('nvim_demo.py', USAGE)
  wait('ready', function()
    return status() == 'memberwise'
  end, 90000)
end)

step('shows a member that exists in another file, and Tab accepts it', function()
  keys('oreturn context.get')
  local shown = wait('ghost text', function()
    local text = ghost()
    return text:find('^_usage') and text
  end)
  page('ghost-text')
  local core = table.concat(vim.fn.readfile(repository .. '/click/core.py'), '\n')
  assert(core:find('def get' .. shown:match('^[%w_]+') .. '%('), 'the member is not in core.py')
  keys('<Tab>')
  wait('the text', function()
    return vim.endswith(table.concat(lines(), '\n'), 'return context.get' .. shown)
  end)
end)

step('knows a member that is only in this folder', function()
  assert(lua('return require("memberwise").client().root_dir') == vim.uv.fs_realpath(repository), 'another root')
  open('nvim_sums.py', SUMS)
  keys('oreturn ledger.ta')
  wait('the member', function()
    return ghost():find('^lly_of_march')
  end)
end)

step('keeps the text while it is typed through', function()
  open('nvim_through.py', USAGE)
  keys('oreturn context.get')
  local shown = wait('ghost text', function()
    local text = ghost()
    return text:find('^_usage') and text
  end)
  for key in ('_usa'):gmatch('.') do
    keys(key)
    shown = shown:sub(2)
    wait('the rest of the text', function()
      return ghost() == shown
    end, 1500)
  end
end)

step('accepts a word', function()
  open('nvim_words.py', USAGE)
  keys('oreturn context.get')
  local word = wait('ghost text', function()
    return ghost():match('^_%w+')
  end)
  keys('<M-w>')
  wait('a word of it', function()
    return vim.endswith(table.concat(lines(), '\n'), 'return context.get' .. word)
  end)
  wait('the rest', function()
    return ghost():find('^%(')
  end)
  keys('<M-l>')
  wait('the line', function()
    return table.concat(lines(), '\n'):find('return context.get' .. word .. '(', 1, true)
  end)
end)

step('writes no carriage return into a file from DOS', function()
  local text = HEAD .. 'def finish(context: Context) -> None:\n    """Close the context and print the help."""\n'
  open('nvim_dos.py', (text:gsub('\n', '\r\n')))
  assert(lua('return vim.bo.fileformat') == 'dos')
  local before = #lines() + 1
  keys('o')
  local shown = wait('a block', function()
    local block = ghost()
    return block:find('\n') and block
  end)
  assert(not shown:find('^M', 1, true), shown)
  keys('<Tab>')
  wait('the block', function()
    return #lines() > before
  end)
  assert(not table.concat(lines()):find('\r'), table.concat(lines(), '\n'))
end)

step('brings the import a name needs, and one undo takes both back', function()
  open('nvim_load.py', '"""Demo."""\n\n\ndef load(text: str) -> dict:\n    """Parse JSON text."""\n')
  keys('oreturn js')
  wait('ghost text', function()
    return ghost():find('^on%.loads%(text%)')
  end)
  keys('<Tab>')
  wait('the import', function()
    return vim.tbl_contains(lines(), 'import json') and vim.tbl_contains(lines(), '    return json.loads(text)')
  end)
  keys('<Esc>u')
  wait('undone', function()
    local text = table.concat(lines(), '\n')
    return not text:find('import json') and not text:find('json%.loads')
  end)
end)

step('explains', function()
  ask('nvim_command', 'Memberwise explain')
  wait('the window', function()
    local text = table.concat(lines(), '\n')
    return text:find('# The last completion', 1, true) and text:find('**json**', 1, true)
  end)
  page('explain')
  keys('q')
end)

step('streams a body and cancels it, and changes nothing then', function()
  open('nvim_body.py', STUB)
  local before = lines()
  ask('nvim_win_set_cursor', 0, { 6, 0 })
  ask('nvim_command', 'Memberwise generate')
  local preview = [[
    local space = vim.api.nvim_get_namespaces()['memberwise.body']
    local mark = vim.api.nvim_buf_get_extmarks(0, space, 0, -1, { details = true })[1]
    return mark and mark[4].virt_lines and mark[4].virt_lines[1][1][1] or ''
  ]]
  wait('the text that is being written', function()
    return lua(preview):find('for context')
  end)
  page('body')
  ask('nvim_command', 'Memberwise cancel')
  wait('the preview is gone', function()
    return lua(preview) == ''
  end, 5000)
  assert(vim.deep_equal(lines(), before), 'a cancelled body changed the buffer')
end)

step('generates a body, and one undo takes it back', function()
  local before = lines()
  ask('nvim_command', 'Memberwise generate')
  wait('the body', function()
    return table.concat(lines(), '\n'):find('for context in')
  end)
  keys('u')
  wait('undone', function()
    return vim.deep_equal(lines(), before)
  end)
end)

step('says why nothing came, pauses and goes on', function()
  ask('nvim_command', 'Memberwise pause')
  wait('paused', function()
    return status():find('paused')
  end)
  ask('nvim_command', 'Memberwise resume')
  wait('ready', function()
    return status() == 'memberwise'
  end)
  open('nvim_reason.py', HEAD .. 'value = 1')
  keys('0la')
  wait('a reason', function()
    return status():find('inside a word') or status():find('nothing')
  end)
end)

step('asks by a key where nothing comes by itself', function()
  open('nvim_ask.py', USAGE)
  set('inline', 'off')
  keys('oreturn context.get')
  wait('the reason', function()
    return status():find('automatic completions are off')
  end)
  keys('<M-Bslash>')
  wait('ghost text', function()
    return ghost():find('^_usage')
  end)
  set('inline', 'auto')
end)

step('starts a server in place of one that was killed', function()
  open('nvim_again.py', USAGE)
  local killed = lua('return require("memberwise").client().id')
  for _, process in ipairs(ask('nvim_get_proc_children', lua('return vim.fn.getpid()'))) do
    vim.uv.kill(process, 'sigkill')
  end
  wait('another server', function()
    return lua('local client = require("memberwise").client(); return client ~= nil and client.id ~= ...', killed)
  end)
  wait('ready', function()
    return status() == 'memberwise'
  end)
  keys('oreturn context.get')
  wait('ghost text', function()
    return ghost():find('^_usage')
  end)
end)

step('is healthy, and says so', function()
  keys('<Esc>')
  ask('nvim_command', 'checkhealth memberwise')
  local report = wait('the report', function()
    local text = table.concat(lines(), '\n')
    return text:find('the server of') and text
  end)
  assert(not report:find('ERROR') and not report:find('WARNING'), report)
  assert(report:find('memberwise %d'), report)
end)

step('has help that is found', function()
  lua('vim.cmd.helptags(...)', plugin .. '/doc')
  ask('nvim_command', 'help memberwise-keys')
  vim.fn.delete(plugin .. '/doc/tags')
end)

local failed = 0
for _, each in ipairs(steps) do
  local started = vim.uv.hrtime()
  local ok, message = xpcall(each.run, debug.traceback)
  print(('%s %s (%.1f s)'):format(ok and 'ok  ' or 'FAIL', each.name, (vim.uv.hrtime() - started) / 1e9))
  if not ok then
    print(message)
    failed = failed + 1
  end
end
vim.fn.jobstop(nvim)
vim.fn.delete(init)
print('')
os.exit(failed == 0 and 0 or 1)
