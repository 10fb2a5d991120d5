-- What all scripts share. KEYS[1] is the prefix in its hash tag: it stands for
-- every key of the deployment, which therefore lie in one slot.
local P = KEYS[1]
local users, online, instances = P .. ':users', P .. ':online', P .. ':instances'
local entries, tabs, stream = P .. ':entries', P .. ':tabs', P .. ':stream'
local revoked = P .. ':revoked'

local function text(n) return string.format('%.0f', n) end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function ownOf(instance) return P .. ':sockets:' .. instance end
local function staleOf(instance) return P .. ':stale:' .. instance end
local function progress(instance) return P .. ':progress:' .. instance end
local function alive(instance) return P .. ':alive:' .. instance end
local function members(list) return P .. ':' .. list .. ':users' end

-- Announcements are a chain: each has a number, the token of the call that made
-- it, and that of the one before. So a reader notices a gap, and that Redis got
-- other data, whatever their numbers and the clock. The key link has the number
-- and the token of the last.
local token, linked
local link = P .. ':link'

local function number() return text(redis.call('INCR', P .. ':seq')) end

-- The token of the last announcement, '' if its number is not n.
local function tokenOf(n)
  local last, t = string.match(linked or redis.call('GET', link) or '', '^(%d+) (.*)$')
  return last == n and t or ''
end

local function announce(n, ...)
  local before = tokenOf(text(n - 1))
  linked = n .. ' ' .. token
  redis.call('SET', link, linked)
  local fields = { 'n', n, 'p', before, 'c', token, ... }
  fields[#fields + 1] = 'f'
  fields[#fields + 1] = text(FORMAT)
  redis.call('XADD', stream, 'MAXLEN', '~', MAX_STREAM, '*', unpack(fields))
end

-- Reads what a script is about to change, so that a key of a wrong type stops
-- it before it has changed anything.
local function checkTypes(own)
  redis.call('HLEN', users)
  redis.call('HLEN', entries)
  redis.call('HLEN', tabs)
  redis.call('HLEN', own)
  redis.call('ZCARD', online)
  redis.call('XLEN', stream)
  redis.call('GET', link)
  if not tonumber(redis.call('GET', P .. ':seq') or '0') then error('WRONGTYPE seq is no number') end
end

-- An entry's address is the length of its list's name, a colon, that name, and
-- the key. An instance's own addresses are in its hash sockets, each with '-',
-- or with '+' and the user if others may read of it.
local function splitAddress(address)
  local length, from = string.match(address, '^(%d+):()')
  return string.sub(address, from, from + length - 1), string.sub(address, from + length)
end

-- Raises a user's time in a sorted set.
local function raiseTime(key, user, at)
  local before = redis.call('ZSCORE', key, user)
  if not before or tonumber(before) < at then redis.call('ZADD', key, text(at), user) end
end

-- Notes that one socket of a user is gone.
local function decrementTabs(user)
  if redis.call('HINCRBY', tabs, user, -1) <= 0 then
    redis.call('HDEL', tabs, user)
    redis.call('ZREM', online, user)
  end
end

-- Removes an entry from everything but its owner's hash.
local function removeEntry(address, mark)
  local list, key = splitAddress(address)
  local public = string.sub(mark, 1, 1) == '+'
  if list == '' and public then
    redis.call('HDEL', users, key)
    decrementTabs(string.sub(mark, 2))
    return
  end
  redis.call('HDEL', entries, address)
  if public then redis.call('HDEL', members(list), key) end
end

-- Removes all entries of a hash of addresses, and the hash. Returns whether it
-- had any.
local function removeAll(key)
  local all = redis.call('HGETALL', key)
  for i = 1, #all, 2 do removeEntry(all[i], all[i + 1]) end
  redis.call('DEL', key)
  return #all > 0
end

-- The number of subscribers of an instance's channel, -1 if it is not known: an
-- access list may forbid the command.
local function listening(instance)
  local reply = redis.pcall('PUBSUB', 'NUMSUB', alive(instance))
  return reply.err and -1 or tonumber(reply[2])
end

-- All data has one format, whose number is in a key; without the key it is 1. Data
-- of a later format are not touched. Of an earlier format, the data that the
-- instances write again are deleted; histories, activity and revocations stay, and
-- a release that changes these converts them here.
local formatKey = P .. ':format'
local found = redis.pcall('GET', formatKey)
found = type(found) == 'string' and tonumber(found)
local format = found or 1
if format > FORMAT then return { err = 'FORMAT ' .. text(format) } end
if format < FORMAT then
  for _, instance in ipairs(redis.call('ZRANGE', instances, 0, -1)) do
    redis.call('DEL', ownOf(instance), staleOf(instance), progress(instance))
  end
  for _, address in ipairs(redis.call('HKEYS', entries)) do redis.call('DEL', members((splitAddress(address)))) end
  redis.call('DEL', users, online, instances, entries, tabs, stream, link, P .. ':compared')
end
if found ~= FORMAT then redis.call('SET', formatKey, text(FORMAT)) end
