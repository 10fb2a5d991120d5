-- Takes an instance away with all its entries, in one announcement.
-- ARGV: instance, why it may be (below), its lease as last seen, reason.
-- Returns 1 if so, and 0 if the instance showed life since.
local gone, why, seen, reason = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
sound(sockets(gone))
local till = redis.call('ZSCORE', instances, gone)
if why == 'absent' then -- it has no lease
  if till then return 0 end
elseif why == 'expired' then
  if till ~= seen or tonumber(till) > now then return 0 end
elseif why == 'silent' then -- its connections are closed
  if till ~= seen or listening(gone) ~= 0 then return 0 end
elseif why == 'leaving' then -- it says so itself
  redis.call('HSET', progress(gone), 'state', 'left')
elseif why == 'handing over' then -- it says so itself, and stays for a grace
  redis.call('HSET', progress(gone), 'state', 'left')
  return 1
end
if redis.call('HGET', progress(gone), 'state') == 'left' then
  reason = 'closed' -- and not lost
end

local own = redis.call('HGETALL', sockets(gone))
for i = 1, #own, 2 do take(own[i], own[i + 1]) end
redis.call('DEL', sockets(gone))
redis.call('ZREM', instances, gone)
if till or #own > 0 then
  announce(number(), 'gone', gone, 'why', reason)
end
return 1
