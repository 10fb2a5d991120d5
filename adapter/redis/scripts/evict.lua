-- Evicts an instance: removes all its entries, in one announcement.
-- ARGV: instance, why it may be (below), the end of its lease as last observed,
-- reason, how long it hands over (ms), '1' if it does so even to nobody, token of
-- this call.
-- Returns 1 if so, and 0 if the instance has shown that it runs. If it runs all
-- the same, its next step is left out, and it rewrites everything.
local gone, why, observed, reason, handOver = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
token = ARGV[7]
local function left(instance) return redis.call('HGET', progress(instance), 'state') == 'left' end

-- Whether another instance is there, to which the users can come back.
local function others()
  for _, instance in ipairs(redis.call('ZRANGEBYSCORE', instances, text(now), '+inf')) do
    if instance ~= gone and not left(instance) then return true end
  end
end

checkTypes(ownOf(gone))
checkTypes(staleOf(gone))
local till = redis.call('ZSCORE', instances, gone)
if why == 'absent' then -- it has no lease
  if till then return 0 end
elseif why == 'expired' then
  if till ~= observed or tonumber(till) > now then return 0 end
elseif why == 'unchanged' then -- it does not renew a lease that the clock, set back, will not end soon
  if till ~= observed then return 0 end
elseif why == 'silent' then -- its connections are closed
  if till ~= observed or listening(gone) ~= 0 or left(gone) then return 0 end -- after an orderly end its time to hand over counts
elseif why == 'closed' then -- it says so itself
  redis.call('HSET', progress(gone), 'state', 'left')
elseif why == 'hand over' then -- it says so itself, and its entries stay a while
  redis.call('HSET', progress(gone), 'state', 'left')
  redis.call('ZADD', instances, text(now + handOver), gone)
  if ARGV[6] == '1' or others() then return 1 end
end
if left(gone) then
  reason = 'closed' -- and not lost
else
  redis.call('HSET', progress(gone), 'state', 'lost')
end

local some = removeAll(ownOf(gone))
some = removeAll(staleOf(gone)) or some
redis.call('HDEL', progress(gone), 'r')
redis.call('EXPIRE', progress(gone), KEEP_PROGRESS)
redis.call('ZREM', instances, gone)
-- Redis may have lost all of it, of which the instances still know.
if till or some or why == 'absent' or why == 'closed' then
  announce(number(), 'gone', gone, 'why', reason)
end
return 1
