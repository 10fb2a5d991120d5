-- The rooms' histories. account has the bytes of each room, 'bytes' of all and
-- the 'last' id; used has the rooms by when something was said there last. What
-- is in none of both does not count, and is gone when the room is used again.
local account, used = P .. ':messages', P .. ':messages:used'
local function messages(room) return P .. ':room:' .. room .. ':messages' end

local function grow(room, bytes)
  redis.call('HINCRBY', account, 'room:' .. room, bytes)
  return redis.call('HINCRBY', account, 'bytes', bytes)
end

local function forget(room)
  local size = redis.call('HGET', account, 'room:' .. room)
  if size then redis.call('HINCRBY', account, 'bytes', '-' .. size) end
  redis.call('HDEL', account, 'room:' .. room)
  redis.call('ZREM', used, room)
  redis.call('DEL', messages(room))
end

-- Forgets the rooms that nobody has used for too long, some at a time.
local function forgetOld()
  for _, room in ipairs(redis.call('ZRANGEBYSCORE', used, '-inf', text(now - KEEP_HISTORY), 'LIMIT', 0, 10)) do
    forget(room)
  end
end

-- Reads what keep changes, as sound does.
local function canKeep(room)
  for _, field in ipairs({ 'bytes', 'last', 'room:' .. room }) do
    if not tonumber(redis.call('HGET', account, field) or '0') then error(field .. ' is not an integer') end
  end
  redis.call('ZCARD', used)
  redis.call('LLEN', messages(room))
end

-- Keeps a message and returns it. tail is its JSON behind id and time. Ids
-- rise over all rooms, and are higher than any that the sender has heard.
local function keep(room, heard, tail)
  local list = messages(room)
  local id = text(math.max(tonumber(redis.call('HGET', account, 'last') or '0') + 1, heard + 1, now))
  local known = redis.call('HEXISTS', account, 'room:' .. room) == 1 and redis.call('ZSCORE', used, room)
  if not known or redis.call('LLEN', list) == 0 then
    forget(room)
    grow(room, 3 * #room + 512) -- what a room takes besides
  end
  local message = '{"id":' .. id .. ',"at":' .. text(now) .. ',' .. tail
  redis.call('HSET', account, 'last', id)
  redis.call('ZADD', used, text(now), room)
  local length = redis.call('RPUSH', list, message)
  local bytes = grow(room, #message + 16)
  local oldest = redis.call('LINDEX', list, 0)
  while length > MAX_HISTORY or (tonumber(string.match(oldest, '"at":(%d+)')) or 0) < now - KEEP_HISTORY do
    redis.call('LPOP', list)
    bytes = grow(room, -#oldest - 16)
    length = length - 1
    oldest = redis.call('LINDEX', list, 0)
  end
  redis.call('PEXPIRE', list, KEEP_HISTORY) -- also if no instance is there to forget it
  while bytes > MAX_HISTORIES do
    local least = redis.call('ZRANGE', used, 0, 0)[1]
    if not least then redis.call('DEL', account); break end
    forget(least)
    bytes = tonumber(redis.call('HGET', account, 'bytes'))
  end
  return message
end
