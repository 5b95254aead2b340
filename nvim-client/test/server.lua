-- A server inside of the editor that is tested, answering what it is told to, when it is told to. See editing.lua.
local M = { asked = {}, told = {}, answers = true }
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
      if method == 'initialize' and M.answers then
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
    terminate = function()
      M.die(15)
    end,
  }
end

--- The server ends by a signal.
function M.die(signal)
  alive = false
  dispatchers.on_exit(0, signal)
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
