-- Renews an instance's lease, and tells what there is to know about the rest.
-- ARGV: instance, length of the lease, keep (seconds).
local me, lease, keep = ARGV[1], ARGV[2], ARGV[3]
local held = redis.call('ZSCORE', instances, me)
local till = text(now + lease)
redis.call('ZADD', instances, till, me)
redis.call('EXPIRE', progress(me), keep)

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
  redis.call('HLEN', users) - counted, redis.call('HLEN', sockets(me)), others,
}
