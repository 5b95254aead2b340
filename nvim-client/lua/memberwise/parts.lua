--- How much of a text a key accepts, and what of it is still to come. Plain strings in, plain strings out.
local M = {}

--- A text with the line ends that a buffer has, whatever its file has.
---@param text string
---@return string
function M.lines_of_a_buffer(text)
  return (text:gsub('\r\n?', '\n'))
end

--- The rest of `insert` after what stands between its start and the cursor; nil when that is something else.
---@param insert string
---@param typed string
---@return string?
function M.rest(insert, typed)
  if vim.startswith(insert, typed) and #insert > #typed then
    return insert:sub(#typed + 1)
  end
end

--- The first word of a text with the space before it, or its first line, or all of it.
---@param text string
---@param part? 'word'|'line'
---@return string
function M.first(text, part)
  if part == 'word' then
    return text:match('^%s*[%w_\128-\255]+') or text:match('^%s*[^%w_%s\128-\255]+') or text
  elseif part == 'line' then
    return text:match('^\n?[^\n]*')
  end
  return text
end

return M
