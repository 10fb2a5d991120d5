-- Takes an instance away with all its entries, in one announcement.
-- ARGV: instance, why it may be (below), its lease as last seen, reason, for how
-- long it hands over (ms), '1' if it does so even to nobody, token of this call.
-- Returns 1 if so, and 0 if the instance showed life since. If it lives all the
-- same, its next step is refused, and it puts everything back.
local gone, why, seen, reason, stay = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
token = ARGV[7]
local function left(instance) return redis.call('HGET', progress(instance), 'state') == 'left' end

-- Whether somebody else is there to come back to.
local function others()
  for _, instance in ipairs(redis.call('ZRANGEBYSCORE', instances, text(now), '+inf')) do
    if instance ~= gone and not left(instance) then return true end
  end
end

sound(sockets(gone))
sound(outdated(gone))
local till = redis.call('ZSCORE', instances, gone)
if why == 'absent' then -- it has no lease
  if till then return 0 end
elseif why == 'expired' then
  if till ~= seen or tonumber(till) > now then return 0 end
elseif why == 'unchanged' then -- it does not renew a lease that the clock, set back, will not end soon
  if till ~= seen then return 0 end
elseif why == 'silent' then -- its connections are closed
  if till ~= seen or listening(gone) ~= 0 or left(gone) then return 0 end -- who left in order has its time
elseif why == 'leaving' then -- it says so itself
  redis.call('HSET', progress(gone), 'state', 'left')
elseif why == 'handing over' then -- it says so itself, and its entries stay a while
  redis.call('HSET', progress(gone), 'state', 'left')
  redis.call('ZADD', instances, text(now + stay), gone)
  if ARGV[6] == '1' or others() then return 1 end
end
if left(gone) then
  reason = 'closed' -- and not lost
else
  redis.call('HSET', progress(gone), 'state', 'lost')
end

local some = clear(sockets(gone))
some = clear(outdated(gone)) or some
redis.call('HDEL', progress(gone), 'r')
redis.call('EXPIRE', progress(gone), KEEP_PROGRESS)
redis.call('ZREM', instances, gone)
-- Redis may have lost all of it, of which the instances still know.
if till or some or why == 'absent' or why == 'leaving' then
  announce(number(), 'gone', gone, 'why', reason)
end
return 1
