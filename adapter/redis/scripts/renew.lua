-- Renews an instance's lease, and returns the state of all instances.
-- ARGV: instance, length of the lease.
local me, lease = ARGV[1], ARGV[2]
checkTypes(ownOf(me))
local before = redis.call('ZSCORE', instances, me)
local till = text(now + lease)
-- A call that arrives late gives no lease to an instance that has ended.
if redis.call('HGET', progress(me), 'state') ~= 'left' then redis.call('ZADD', instances, till, me) end
redis.call('EXPIRE', progress(me), KEEP_PROGRESS)
forgetOld()
trimSeen()
local bytes = redis.pcall('MEMORY', 'USAGE', stream, 'SAMPLES', 0) -- an access list may forbid it
if type(bytes) == 'number' and bytes > MAX_STREAM_BYTES then
  redis.call('XTRIM', stream, 'MAXLEN', math.floor(redis.call('XLEN', stream) / 2))
end

local others, counted = {}, 0
local rows = redis.call('ZRANGE', instances, 0, -1, 'WITHSCORES')
local function held(instance) return redis.call('HLEN', ownOf(instance)) + redis.call('HLEN', staleOf(instance)) end
for i = 1, #rows, 2 do
  counted = counted + held(rows[i])
  if rows[i] ~= me then
    local p = redis.call('HMGET', progress(rows[i]), 'v', 'state')
    others[#others + 1] = { rows[i], rows[i + 1], listening(rows[i]), p[1] or '0', p[2] or '' }
  end
end
local mine = redis.call('HMGET', progress(me), 'v', 'state', 'm')
local seq = redis.call('GET', P .. ':seq') or '0'
return {
  now, before or '', till, tonumber(seq), tokenOf(seq),
  redis.call('HLEN', users) + redis.call('HLEN', entries) - counted, held(me),
  mine[1] or '0', mine[2] or '', mine[3] or '0', others,
}
