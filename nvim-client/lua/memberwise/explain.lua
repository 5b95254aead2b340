--- The last completion with every name that was asked for, in a window of its own.
local M = {}

---@param call table
---@return string[]
local function described(call)
  local best = vim.tbl_map(function(candidate)
    return ('%s %.2f'):format(candidate.name, candidate.probability)
  end, call.best)
  local alone = call.modelChoice ~= vim.NIL and call.modelChoice ~= call.chosen and call.modelChoice
  local function text(value, otherwise)
    return value ~= nil and value ~= vim.NIL and tostring(value) or otherwise
  end
  local lines = {
    ('- **%s**%s'):format(text(call.chosen, '(the list was declined)'), text(call.receiver, nil) and ' of `' .. call.receiver .. '`' or ''),
    ('  %d names offered%s, %.1f ms%s, from %s'):format(
      call.suggestions,
      call.trusted and '' or ' (may lack some)',
      call.elapsedMs,
      call.cached and ' (remembered)' or '',
      text(call.source, 'the model')
    ),
  }
  if #best > 0 then
    table.insert(lines, '  best: ' .. table.concat(best, ', '))
  end
  if alone then
    table.insert(lines, ('  the model alone: `%s`'):format(alone))
  end
  return lines
end

--- An explanation as lines of Markdown.
---@param explanation table?
---@return string[]
function M.lines(explanation)
  if not explanation or explanation == vim.NIL then
    return { '# Nothing to explain yet', '', 'No completion has been offered since the server started.' }
  end
  local lines = { '# The last completion', '', '```python' }
  vim.list_extend(lines, vim.split(explanation.text, '\n', { plain = true }))
  vim.list_extend(lines, { '```', '' })
  if explanation.reason ~= '' then
    vim.list_extend(lines, { 'Since then nothing was shown: ' .. explanation.reason .. '.', '' })
  end
  for _, import in ipairs(explanation.imports) do
    local named = import.name and import.name ~= vim.NIL
    table.insert(lines, named and ('`from %s import %s`'):format(import.module, import.name) or ('`import %s`'):format(import.module))
  end
  vim.list_extend(lines, { '## Names', '' })
  for _, call in ipairs(explanation.calls) do
    vim.list_extend(lines, described(call))
  end
  local cost = explanation.statistics
  vim.list_extend(lines, { '', ('%.0f ms in all, %.0f ms of them Jedi; %d tokens'):format(cost.totalMs, cost.toolMs, cost.generatedTokens) })
  return vim.split(table.concat(lines, '\n'), '\n', { plain = true }) -- a receiver or a reason may be of several lines
end

--- Ask, and show the answer.
---@param client vim.lsp.Client
function M.show(client)
  client:request('memberwise/explain', vim.empty_dict(), function(err, explanation)
    if err then
      vim.notify('memberwise: ' .. err.message, vim.log.levels.WARN)
      return
    end
    local buffer = vim.api.nvim_create_buf(false, true)
    vim.api.nvim_buf_set_lines(buffer, 0, -1, false, M.lines(explanation))
    vim.bo[buffer].filetype = 'markdown'
    vim.bo[buffer].modifiable = false
    vim.bo[buffer].bufhidden = 'wipe'
    vim.api.nvim_open_win(buffer, true, { split = 'right' })
    vim.keymap.set('n', 'q', '<cmd>close<cr>', { buffer = buffer, desc = 'Close' })
  end)
end

return M
