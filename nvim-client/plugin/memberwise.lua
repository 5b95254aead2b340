-- The command, and what every server of ours gets when it attaches to a buffer. `:help memberwise`
if vim.g.loaded_memberwise then
  return
end
vim.g.loaded_memberwise = true

vim.api.nvim_create_user_command('Memberwise', function(command)
  require('memberwise.commands').run(command.fargs)
end, {
  nargs = '*',
  desc = 'Memberwise: generate a body, explain, status, pause',
  complete = function(lead)
    return require('memberwise.commands').complete(lead)
  end,
})

local group = vim.api.nvim_create_augroup('memberwise', {})

vim.api.nvim_create_autocmd('LspAttach', {
  group = group,
  callback = function(event)
    local client = vim.lsp.get_client_by_id(event.data.client_id)
    if client and client.name == 'memberwise' then
      require('memberwise.inline').attach(client, event.buf)
      require('memberwise.cursor').attach(client, event.buf)
    end
  end,
})

vim.api.nvim_create_autocmd('LspDetach', {
  group = group,
  callback = function()
    require('memberwise.body').look_after_server()
  end,
})
