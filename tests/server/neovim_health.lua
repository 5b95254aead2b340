-- What `:checkhealth memberwise` says, run by test_neovim.py: `nvim --headless -u NONE -l THIS PLUGIN COMMAND`.
vim.opt.runtimepath:prepend(arg[1])
require('memberwise').setup({ cmd = { arg[2], 'serve' } })
vim.cmd('checkhealth memberwise')
io.stdout:write(table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, true), '\n'))
