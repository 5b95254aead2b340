-- What is typed into a Neovim with the plugin and a server that answers as it is told: line ends, quick fingers, mappings
-- of others, buffers and servers that go away. Run by unit.lua; session.lua has the real server.
local folder = vim.fs.dirname(vim.fs.abspath(arg[0]))
local editor = vim.fn.jobstart({ arg[1] or vim.v.progpath, '--embed', '--headless', '-u', 'NONE', '-i', 'NONE', '-n' }, {
  rpc = true,
  env = { XDG_STATE_HOME = vim.fn.tempname() },
})

local function lua(code, ...)
  return vim.rpcrequest(editor, 'nvim_exec_lua', code, { ... })
end
local function command(text)
  vim.rpcrequest(editor, 'nvim_command', text)
end
local function keys(typed)
  vim.rpcrequest(editor, 'nvim_input', typed)
end
local function lines()
  return vim.rpcrequest(editor, 'nvim_buf_get_lines', 0, 0, -1, true)
end
local function wait(what, check)
  local found
  assert(vim.wait(5000, function()
    found = check()
    return found
  end, 10), 'timeout: ' .. what)
  return found
end

lua([[
  vim.opt.runtimepath:prepend(vim.fs.dirname(...))
  vim.cmd.runtime('plugin/memberwise.lua')
  server = dofile((...) .. '/server.lua')
  require('memberwise').setup({ cmd = server.cmd })
  heard = {}
  vim.notify = function(message) table.insert(heard, message) end
]], folder)
local native = lua('return vim.lsp.inline_completion ~= nil')
local INLINE = native and 'textDocument/inlineCompletion' or 'memberwise/streamInlineCompletion'
local BODY = 'workspace/executeCommand'

local function open(text, format)
  keys('<Esc>')
  lua([[
    local text, format = ...
    vim.cmd('enew!')
    vim.api.nvim_buf_set_name(0, vim.fn.tempname() .. '.py')
    vim.api.nvim_buf_set_lines(0, 0, -1, true, text)
    vim.bo.fileformat = format
    vim.bo.filetype = 'python'
  ]], text, format or 'unix')
  wait('the server attaches', function()
    return lua('return require("memberwise").client() ~= nil')
  end)
end

--- How often something was asked for.
local function asked(method)
  return lua('return #server.of(...)', method)
end

--- Answer a question: the latest, or the one so many before it.
local function answer(method, result, before)
  lua([[
    local method, result, before = ...
    local all = server.of(method)
    all[#all - before].answer(nil, result)
  ]], method, result, before or 0)
end

--- What the notification `method` was last sent with.
local function told(method)
  return lua([[
    for number = #server.told, 1, -1 do
      if server.told[number].method == ... then return server.told[number].params end
    end
  ]], method)
end

local function heard()
  return lua('local said = heard; heard = {}; return said')
end

--- Press keys that make the editor ask, and wait until it does.
local function ask(pressed)
  local before = asked(INLINE)
  keys(pressed)
  wait('a question after ' .. pressed, function()
    return asked(INLINE) > before
  end)
end

local function offer(text, row, from, to, before)
  local range = { start = { line = row, character = from }, ['end'] = { line = row, character = to } }
  answer(INLINE, { items = { { id = 'c1', insertText = text, range = range, additionalTextEdits = {} } } }, before)
end

local function ghost()
  return (lua('return dofile(...)', folder .. '/grey.lua'):gsub('\n', '|'))
end

local function shows(text)
  wait(('%q is shown'):format(text), function()
    return ghost() == text
  end)
end

--- Wait for the text of the buffer; when it does not come, say what stands there.
local function becomes(same, what, wanted)
  vim.wait(5000, function()
    return vim.deep_equal(lines(), wanted)
  end, 10)
  same(what, lines(), wanted)
end

local function line_ends(same)
  local written = { 'def f():', '    x = 1', '    return x' }
  open({ 'def f():', '' }, 'dos')
  ask('GA    ')
  offer('x = 1\r\n    return x\r\n', 1, 4, 4)
  shows('x = 1|    return x|')
  keys('<M-l>')
  becomes(same, 'a line in a file from DOS', { 'def f():', '    x = 1' })
  keys('<Esc>')
  open({ 'def f():', '' }, 'dos')
  ask('GA    ')
  offer('x = 1\r\n    return x', 1, 4, 4)
  shows('x = 1|    return x')
  keys('<Tab>')
  becomes(same, 'all of it in a file from DOS', written)
end

local function typing(same)
  open({ 'x', '' })
  ask('GAfoo')
  offer('foobar(x)', 1, 0, 3)
  shows('bar(x)')
  keys('<Tab>.y')
  becomes(same, 'keys right behind the one that accepts', { 'x', 'foobar(x).y' })
  if native then
    return -- what follows is done by Neovim itself
  end
  same('the cursor stands behind them', lua('return vim.api.nvim_win_get_cursor(0)[2]'), #'foobar(x).y')

  open({ 'x', '' })
  ask('GAfoo')
  offer('foobar(x)', 1, 0, 3)
  shows('bar(x)')
  ask('b')
  ask('a')
  offer('foob = 1', 1, 0, 4, 1)
  vim.wait(100)
  same('an answer to what was asked before is no answer', ghost(), 'r(x)')

  open({ 'x', '' })
  ask('GAs')
  offer('s = "𝄞ö" + y', 1, 0, 1)
  shows(' = "𝄞ö" + y')
  keys('<M-w>')
  becomes(same, 'a word', { 'x', 's =' })
  same('its length', told('memberwise/didPartiallyAcceptCompletion').acceptedLength, 2)
  keys('<M-w><M-w>')
  becomes(same, 'two words at once', { 'x', 's = "𝄞ö' })
  same('a length in UTF-16', told('memberwise/didPartiallyAcceptCompletion').acceptedLength, 5)

  open({ 'fool', '' })
  lua('vim.o.completeopt = "menuone,noinsert"')
  ask('GAfo<C-n>')
  wait('the menu', function()
    return lua('return vim.fn.pumvisible()') == 1
  end)
  offer('foobar', 1, 0, 2)
  shows('obar')
end

local function asking(same)
  local function kind()
    return lua('local all = server.of(...); return all[#all].params.context.triggerKind', INLINE)
  end
  open({ 'x', '' })
  ask('GAf')
  same('a question that nobody asked', kind(), 2)
  keys('<M-Bslash>')
  wait('a question that somebody asked', function()
    return kind() == 1
  end)
  offer('foo', 1, 0, 1)
  shows('oo')
  keys('<Tab>')
  becomes(same, 'what was asked for', { 'x', 'foo' })
  keys('b')
  wait('the next question is by itself again', function()
    return kind() == 2
  end)
end

local function mappings(same)
  lua([[vim.keymap.set('i', '<Tab>', function() return vim.keycode('<Tab>') .. ']' end, { expr = true, remap = true })]])
  lua([[vim.cmd('inoremap <M-w> W')]])
  open({ '' })
  keys('i<Tab><M-w><Tab>')
  becomes(same, 'keys that others have mapped', { '\t]W\t]' })
  command('iunmap <Tab>')
  command('iunmap <M-w>')
  open({ '' })
  command('iabbrev hw hello')
  ask('ihw<C-]>')
  becomes(same, 'a key that does something by itself', { 'hello' })
  ask('=')
  offer('hello=1', 0, 0, 6)
  shows('1')
  keys('<C-]>')
  shows('')
  ask('<BS>=')
  offer('hello=1', 0, 0, 6)
  shows('1')
  keys('<Tab>')
  becomes(same, 'a key that accepts, after it did not', { 'hello=1' })
end

local function bodies(same)
  local stub = { 'def f():', '    ...' }
  local function token()
    local all = lua('return vim.tbl_map(function(one) return one.params end, server.of(...))', BODY)
    return all[#all].arguments[1].partialResultToken
  end
  heard()
  open(stub)
  command('Memberwise generate')
  answer(BODY, { applied = false, candidates = { { problems = {} } } })
  same('a body that was not applied', heard(), { 'memberwise: Neovim did not apply the body' })

  lua([[
    progress = 0
    vim.api.nvim_create_autocmd('LspProgress', { callback = function() progress = progress + 1 end })
  ]])
  command('Memberwise generate')
  command('Memberwise cancel')
  lua([[server.notify('$/progress', ...)]], { token = token(), value = { text = 'x' } })
  same('text of a body that was cancelled is no progress of others', lua('return progress'), 0)
  heard()

  command('Memberwise generate')
  command('Memberwise cancel')
  command('Memberwise generate')
  answer(BODY, { applied = true, candidates = { { problems = {} } } }, 1)
  heard()
  command('Memberwise generate')
  same('a late answer does not end the next body', heard(), { 'memberwise: a body is being generated' })
  command('Memberwise cancel')

  open(stub)
  command('Memberwise generate')
  command('bwipeout!')
  lua([[server.notify('$/progress', ...)]], { token = token(), value = { text = 'x' } })
  answer(BODY, { applied = true, candidates = {} })
  heard()
  open(stub)
  command('Memberwise generate')
  same('a buffer that was deleted does not stop the next body', heard(), {})

  lua('server.die(15)')
  wait('the word of it', function()
    local said = heard()
    return said[1] and said[1]:find('the server has ended', 1, true)
  end)
  same('its preview is gone', lua([[return #vim.api.nvim_buf_get_extmarks(0, vim.api.nvim_get_namespaces()['memberwise.body'], 0, -1, {})]]), 0)
  command('Memberwise restart')
  wait('the next server', function()
    return lua('return require("memberwise").client() ~= nil')
  end)
  heard()
  command('Memberwise generate')
  same('a server that ended does not stop the next body', heard(), {})
end

--- The number of the client that is there, or nil.
local function client_id()
  local id = lua('local client = require("memberwise").client(); return client and client.id')
  return id ~= vim.NIL and id or nil
end

--- Do what ends a server and starts another.
local function next_server(what, act)
  local before = client_id()
  act()
  wait(what, function()
    return client_id() and client_id() ~= before
  end)
end

local function restart()
  command('Memberwise restart')
end

local function pauses(same)
  local function enabled()
    return told('workspace/didChangeConfiguration').settings.memberwise.enabled
  end
  open({ 'x' })
  command('Memberwise pause')
  same('a server hears of the pause', enabled(), false)
  next_server('a server in the pause', restart)
  same('so does one that starts', enabled(), false)
  command('Memberwise resume')
  next_server('a server after it', restart)
  same('and of its end', enabled(), true)
end

local function deaths(same)
  local function hears(words)
    wait(words, function()
      return table.concat(heard(), '\n'):find(words, 1, true)
    end)
  end
  local function die(signal)
    lua('server.die(...)', signal)
  end
  open({ 'x' })
  die(15)
  vim.wait(600)
  same('a server that was stopped is left', client_id(), nil)

  lua('server.answers = false')
  local starts = asked('initialize')
  restart()
  wait('a start', function()
    return asked('initialize') > starts
  end)
  die(9)
  hears('the server does not start')
  same('it is not tried again', asked('initialize'), starts + 1)

  lua('server.answers = true')
  next_server('a server that answers', restart)
  for number = 1, 3 do
    next_server('one in place of dead server ' .. number, function()
      die(9)
    end)
  end
  die(9)
  hears('the server has ended again and again')
  same('a server that dies a fourth time is left', client_id(), nil)
end

return function(same)
  line_ends(same)
  typing(same)
  asking(same)
  mappings(same)
  bodies(same)
  pauses(same)
  deaths(same)
  vim.fn.jobstop(editor)
end
