-- What all scripts share. KEYS[1] is the prefix in its hash tag: it stands for
-- every key of the deployment, which therefore lie in one slot.
local P = KEYS[1]
local users, online, instances = P .. ':users', P .. ':online', P .. ':instances'
local stream, tabs = P .. ':stream', P .. ':tabs'

local function text(n) return string.format('%.0f', n) end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function sockets(instance) return P .. ':sockets:' .. instance end
local function progress(instance) return P .. ':progress:' .. instance end
local function alive(instance) return P .. ':alive:' .. instance end

-- The numbers of the announcements have no gaps: so a reader notices one.
local function number() return text(redis.call('INCR', P .. ':seq')) end

local function announce(maxlen, n, ...)
  redis.call('XADD', stream, 'MAXLEN', '~', maxlen, '*', 'n', n, ...)
end

-- One socket of this user is gone.
local function less(user)
  if redis.call('HINCRBY', tabs, user, -1) <= 0 then
    redis.call('HDEL', tabs, user)
    redis.call('ZREM', online, user)
  end
end

-- How many listen on an instance's channel, -1 for not known: an access list
-- may forbid to ask.
local function listening(instance)
  local reply = redis.pcall('PUBSUB', 'NUMSUB', alive(instance))
  return reply.err and -1 or tonumber(reply[2])
end

-- Another id means another process, and perhaps other data.
local function server()
  local info = redis.pcall('INFO', 'server')
  return type(info) == 'string' and string.match(info, 'run_id:(%w+)') or ''
end
