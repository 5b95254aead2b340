-- What `vim.lsp.enable('memberwise')` starts. `:help memberwise-config`
return {
  cmd = { 'memberwise', 'serve' },
  filetypes = { 'python' },
  root_markers = { 'pyproject.toml', 'setup.py', 'setup.cfg', 'requirements.txt', '.git' },
  settings = { memberwise = vim.empty_dict() },
  handlers = {
    ['memberwise/didChangeStatus'] = function(_, status, ctx)
      require('memberwise.status').changed(ctx.client_id, status)
    end,
    ['$/progress'] = function(err, params, ctx)
      if not require('memberwise.body').progressed(params.token, params.value) then
        vim.lsp.handlers['$/progress'](err, params, ctx)
      end
    end,
  },
}
