-- Renews an instance's lease, and tells what there is to know about the rest.
-- ARGV: instance, length of the lease.
local me, lease = ARGV[1], ARGV[2]
sound(sockets(me))
local held = redis.call('ZSCORE', instances, me)
local till = text(now + lease)
redis.call('ZADD', instances, till, me)
redis.call('EXPIRE', progress(me), KEEP_PROGRESS)
forgetOld()
trimSeen()
local bytes = redis.pcall('MEMORY', 'USAGE', stream, 'SAMPLES', 0) -- an access list may forbid it
if type(bytes) == 'number' and bytes > MAX_STREAM_BYTES then
  redis.call('XTRIM', stream, 'MAXLEN', math.floor(redis.call('XLEN', stream) / 2))
end

local others, counted = {}, 0
local rows = redis.call('ZRANGE', instances, 0, -1, 'WITHSCORES')
for i = 1, #rows, 2 do
  counted = counted + redis.call('HLEN', sockets(rows[i]))
  if rows[i] ~= me then
    others[#others + 1] = { rows[i], rows[i + 1], listening(rows[i]) }
  end
end
return {
  now, held or '', till, tonumber(redis.call('GET', P .. ':seq') or '0'), server(),
  redis.call('HLEN', users) + redis.call('HLEN', entries) - counted, redis.call('HLEN', sockets(me)),
  redis.call('HGET', progress(me), 'state') or '', others,
}
