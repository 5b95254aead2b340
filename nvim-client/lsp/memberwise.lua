-- What `vim.lsp.enable('memberwise')` starts. `:help memberwise-config`
return {
  cmd = { 'memberwise', 'serve' },
  filetypes = { 'python' },
  root_markers = { 'pyproject.toml', 'setup.py', 'setup.cfg', 'requirements.txt', '.git' },
  settings = { memberwise = vim.empty_dict() },
  before_init = function(_, config)
    require('memberwise.pause').starting(config)
  end,
  on_exit = function(code, signal, client_id)
    require('memberwise.restarts').ended(code, signal, client_id)
  end,
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
