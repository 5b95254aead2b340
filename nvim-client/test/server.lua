-- A server inside of the editor that is tested, answering what it is told to, when it is told to. See editing.lua.
local M = { asked = {}, told = {} }
local alive, dispatchers

local CAPABILITIES = { positionEncoding = 'utf-16', textDocumentSync = { openClose = true, change = 2 }, inlineCompletionProvider = true }

--- What `cmd` of a client may be in place of a command.
function M.cmd(given)
  alive, dispatchers = true, given
  return {
    request = function(method, params, callback, done)
      local id = #M.asked + 1
      M.asked[id] = { method = method, params = params, answer = function(err, result)
        done(id)
        callback(err, result)
      end }
      if method == 'initialize' then
        vim.schedule(function()
          callback(nil, { capabilities = CAPABILITIES })
        end)
      end
      return alive, id
    end,
    notify = function(method, params)
      table.insert(M.told, { method = method, params = params })
      return alive
    end,
    is_closing = function()
      return not alive
    end,
    terminate = M.die,
  }
end

--- The server ends.
function M.die()
  alive = false
  dispatchers.on_exit(0, 15)
end

--- A notification of the server.
function M.notify(method, params)
  dispatchers.notification(method, params)
end

--- What was asked for by a method, oldest first.
function M.of(method)
  return vim.tbl_filter(function(asked)
    return asked.method == method
  end, M.asked)
end

return M
