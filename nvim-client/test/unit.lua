-- What can be tested without a server: `nvim --headless -u NONE -l test/unit.lua [EDITOR]`.
vim.opt.runtimepath:prepend(vim.fs.dirname(vim.fs.dirname(vim.fs.abspath(arg[0]))))

local parts = require('memberwise.parts')
local body = require('memberwise.body')
local explain = require('memberwise.explain')
local status = require('memberwise.status')
local commands = require('memberwise.commands')
local count = 0

local function same(what, found, wanted)
  count = count + 1
  if not vim.deep_equal(found, wanted) then
    error(('%s: found %s, wanted %s'):format(what, vim.inspect(found), vim.inspect(wanted)), 2)
  end
end

-- where the cursor rests
local told = {}
local listener = {
  offset_encoding = 'utf-16',
  is_stopped = function()
    return false
  end,
  notify = function(_, method, params)
    table.insert(told, method .. ' ' .. params.position.line)
  end,
}
vim.api.nvim_buf_set_lines(0, 0, -1, true, { 'a = 1', 'b = 2' })
require('memberwise.cursor').attach(listener, vim.api.nvim_get_current_buf())
vim.api.nvim_win_set_cursor(0, { 2, 0 })
for _ = 1, 3 do
  vim.api.nvim_exec_autocmds('CursorMoved', { buffer = 0 })
end
vim.wait(1000, function()
  return #told > 1
end)
same('the cursor', told, { 'memberwise/didMoveCursor 0', 'memberwise/didMoveCursor 1' })

-- what is still to come
same('nothing typed', parts.rest('get()', ''), 'get()')
same('typed through', parts.rest('get()', 'ge'), 't()')
same('typed to the end', parts.rest('get()', 'get()'), nil)
same('something else', parts.rest('get()', 'gu'), nil)

-- a part of it
same('all', parts.first('_usage(x)\n    y'), '_usage(x)\n    y')
same('a word', parts.first('_usage(x)', 'word'), '_usage')
same('a bracket is a word', parts.first('(x)', 'word'), '(')
same('only the bracket', parts.first('(_x)', 'word'), '(')
same('the space before a word', parts.first('  and z', 'word'), '  and')
same('a word after a line break', parts.first('\n    return x', 'word'), '\n    return')
same('a word of other letters', parts.first('größe + 1', 'word'), 'größe')
same('a line', parts.first('a(b)\n    c', 'line'), 'a(b)')
same('line ends of a file', parts.lines_of_a_buffer('a\r\n\r\nb\rc\n'), 'a\n\nb\nc\n')
same('the next line', parts.first('\n    c\n    d', 'line'), '\n    c')

-- where a preview is shown
local source = { 'class A:', '    def f(self):', '        """Says."""', '', '        ...', '', '    def g(self):', '        ...', 'x = 1' }
same('from the header', body.last_line(source, 1), 4)
same('from the body', body.last_line(source, 2), 4)
same('the last of a class', body.last_line(source, 6), 7)
same('the last of a file', body.last_line({ 'async def f():', '    ...' }, 0), 1)

-- the explanation
local call = {
  offset = 5, kind = 'attribute', receiver = 'self', suggestions = 63, trusted = false, cached = true, elapsedMs = 1.25,
  best = { { name = 'count', probability = 0.5, source = 'jedi' } }, chosen = 'count', source = 'jedi', modelChoice = 'size', error = vim.NIL,
}
local lines = explain.lines({
  text = 'self.count', reason = '', imports = { { module = 'json', name = vim.NIL, alias = vim.NIL } }, calls = { call },
  statistics = { totalMs = 20, toolMs = 2, generatedTokens = 3 },
})
local text = table.concat(lines, '\n')
for _, wanted in ipairs({ '**count** of `self`', '63 names offered (may lack some)', '(remembered)', 'best: count 0.50', 'the model alone: `size`', '`import json`' }) do
  same(wanted, text:find(wanted, 1, true) ~= nil, true)
end
local several = explain.lines({
  text = 'x', reason = 'it failed:\nso', imports = {}, statistics = { totalMs = 1, toolMs = 0, generatedTokens = 1 },
  calls = { vim.tbl_extend('force', call, { receiver = 'open(\n    name\n)' }) },
})
vim.api.nvim_buf_set_lines(vim.api.nvim_create_buf(false, true), 0, -1, true, several) -- takes no line that is two
local declined = explain.lines({
  text = 'x', reason = 'the model has nothing to add here', imports = {}, statistics = { totalMs = 1, toolMs = 0, generatedTokens = 1 },
  calls = { vim.tbl_extend('force', call, { chosen = vim.NIL, source = vim.NIL, modelChoice = vim.NIL, receiver = vim.NIL, best = {} }) },
})
same('declined', table.concat(declined, '\n'):find('(the list was declined)', 1, true) ~= nil, true)
same('nothing to explain', explain.lines(vim.NIL)[1], '# Nothing to explain yet')

-- the status line
same('before anything is known', status.line(7), 'memberwise: starting')
status.changed(7, { busy = true, kind = 'loading', message = 'loading the model default', percent = 40 })
same('loading says how far it is', status.line(7), 'memberwise: loading the model default 40 %')
status.changed(7, { busy = true, kind = 'loading', message = 'reading', percent = vim.NIL })
same('loading of unknown length', status.line(7), 'memberwise: reading')
status.changed(7, { busy = false, kind = 'ready', message = 'default' })
same('idle is short', status.line(7), 'memberwise')
status.changed(7, { busy = true, kind = 'ready', message = 'generating' })
same('work', status.line(7), 'memberwise: generating')
status.changed(7, { busy = false, kind = 'empty', message = 'the cursor is inside a word' })
same('a reason', status.line(7), 'memberwise: the cursor is inside a word')

-- commands, and the help that tells of them
local help = table.concat(vim.fn.readfile(vim.api.nvim_get_runtime_file('doc/memberwise.txt', false)[1]), '\n')
for _, name in ipairs(commands.complete('')) do
  same('help for ' .. name, help:find(':Memberwise ' .. name, 1, true) ~= nil, true)
end
for action, key in pairs(require('memberwise').keys) do
  same('help for the key that is to ' .. action, help:find('\n  ' .. key .. ' ', 1, true) ~= nil, true)
end
same('completion', commands.complete('re'), { 'restart', 'resume' })

-- what needs an editor with somebody who types
dofile(vim.fs.dirname(vim.fs.abspath(arg[0])) .. '/editing.lua')(same)

print(('%d checks'):format(count))
