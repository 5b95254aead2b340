-- The grey text that an editor shows, its lines below included: runs in that editor.
local shown = {}
for name, space in pairs(vim.api.nvim_get_namespaces()) do
  if name == 'memberwise.ghost' or name == 'nvim.lsp.inline_completion' then
    for _, mark in ipairs(vim.api.nvim_buf_get_extmarks(0, space, 0, -1, { details = true })) do
      for _, line in ipairs({ mark[4].virt_text, unpack(mark[4].virt_lines or {}) }) do
        table.insert(shown, table.concat(vim.tbl_map(function(chunk) return chunk[1] end, line)))
      end
    end
  end
end
return table.concat(shown, '\n')
