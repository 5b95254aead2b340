-- A session of editing in a real Neovim, run by test_neovim.py: `nvim --headless -u NONE -l THIS ROOT COMMAND...`.
-- Prints one line of JSON with what was seen; any error ends it with a message and a code that is not 0.

local root, command = arg[1], vim.list_slice(arg, 2)
local seen = { statuses = {}, progress = {} }

local function wait(what, done)
  if not vim.wait(60000, done, 20) then error('timeout: ' .. what) end
end

local path = root .. '/shop/neovim.py'
vim.cmd.edit(path)
vim.bo.filetype = 'python'
vim.bo.undolevels = 100
local buffer = vim.api.nvim_get_current_buf()

local client_id = vim.lsp.start({
  name = 'memberwise',
  cmd = command,
  root_dir = root,
  init_options = { debounceMs = 0, statistics = false },
  handlers = {
    ['memberwise/didChangeStatus'] = function(_, params) table.insert(seen.statuses, params.kind) end,
    ['$/progress'] = function(_, params) table.insert(seen.progress, params.value) end,
  },
})
local client = assert(vim.lsp.get_client_by_id(client_id))
wait('initialize', function() return client.initialized end)
wait('ready', function() return vim.tbl_contains(seen.statuses, 'ready') end)
seen.encoding = client.offset_encoding

local function request(method, params)
  local answer = assert(client:request_sync(method, params, 60000, buffer))
  if answer.err then error(method .. ': ' .. vim.inspect(answer.err)) end
  return answer.result
end

-- ghost text, accepted, with its import
local function at_end(line) return { line = line, character = #vim.api.nvim_buf_get_lines(buffer, line, line + 1, true)[1] } end
local document = { uri = vim.uri_from_bufnr(buffer) }
local last = vim.api.nvim_buf_line_count(buffer) - 1
local list = request('textDocument/inlineCompletion', {
  textDocument = document, position = at_end(last), context = { triggerKind = 2 },
})
local item = list.items[1]
seen.inserted = item.insertText
vim.lsp.util.apply_text_edits({ { range = item.range, newText = item.insertText } }, buffer, client.offset_encoding)
client:exec_cmd(item.command, { bufnr = buffer })
wait('import', function() return vim.api.nvim_buf_get_lines(buffer, 2, 3, true)[1] == 'import json' end)
seen.accepted = vim.api.nvim_buf_get_lines(buffer, 0, -1, true)

-- hover over what was generated
last = vim.api.nvim_buf_line_count(buffer) - 1
local column = seen.accepted[#seen.accepted]:find('count') -- 1-based, so inside the name
local hover = request('textDocument/hover', { textDocument = document, position = { line = last, character = column } })
seen.hover = hover.contents.value

-- a body, by its lens, undone in one step
vim.api.nvim_buf_set_lines(buffer, -1, -1, true, { '', '    def total(self):', '        ...' })
local lenses = request('textDocument/codeLens', { textDocument = document })
local before = vim.api.nvim_buf_get_lines(buffer, 0, -1, true)
vim.cmd('let &undolevels = &undolevels') -- what comes next is a step of its own
local result = request('workspace/executeCommand', {
  command = lenses[1].command.command, arguments = lenses[1].command.arguments, workDoneToken = 'lens',
})
seen.applied = result.applied
seen.body = vim.api.nvim_buf_get_lines(buffer, -2, -1, true)[1]
vim.cmd.undo()
seen.undone = vim.deep_equal(before, vim.api.nvim_buf_get_lines(buffer, 0, -1, true))

client:stop()
wait('the end of the server', function() return client:is_stopped() end)
io.stdout:write(vim.json.encode(seen) .. '\n')
