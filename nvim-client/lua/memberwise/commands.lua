--- `:Memberwise SUBCOMMAND`.
local M = {}

---@param message string
---@param level? integer
local function say(message, level)
  vim.notify('memberwise: ' .. message, level or vim.log.levels.INFO)
end

--- The client of this buffer, or of any; tells when there is none.
---@return vim.lsp.Client?
local function client()
  local found = require('memberwise').client() or vim.lsp.get_clients({ name = 'memberwise' })[1]
  if not found then
    say('no server runs here; see :checkhealth memberwise', vim.log.levels.WARN)
  end
  return found
end

---@type table<string, fun()>
local commands = {
  generate = function()
    require('memberwise.body').generate()
  end,
  cancel = function()
    require('memberwise.body').cancel()
  end,
  explain = function()
    local found = client()
    if found then
      require('memberwise.explain').show(found)
    end
  end,
  status = function()
    local found = client()
    if found then
      local status = require('memberwise.status').of(found.id)
      say(('%s (%s)'):format(status.message, status.kind))
    end
  end,
  pause = function()
    require('memberwise.pause').enable(false)
  end,
  resume = function()
    require('memberwise.pause').enable(true)
  end,
  restart = function()
    for _, each in ipairs(vim.lsp.get_clients({ name = 'memberwise' })) do
      each:stop(true)
    end
    vim.lsp.enable('memberwise', false)
    require('memberwise.restarts').forget()
    vim.defer_fn(function()
      vim.lsp.enable('memberwise')
    end, 300)
  end,
  log = function()
    vim.cmd.tabnew(vim.lsp.log.get_filename())
  end,
}

--- Run one.
---@param words string[]
function M.run(words)
  local command = commands[words[1] or 'status']
  if command then
    command()
  else
    say(('there is no %q; there are: %s'):format(words[1], table.concat(M.complete(''), ', ')), vim.log.levels.ERROR)
  end
end

--- The names that start so.
---@param lead string
---@return string[]
function M.complete(lead)
  local names = vim.tbl_filter(function(name)
    return vim.startswith(name, lead)
  end, vim.tbl_keys(commands))
  table.sort(names)
  return names
end

return M
