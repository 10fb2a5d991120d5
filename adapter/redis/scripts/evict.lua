-- Evicts an instance: removes all its entries, in one announcement.
-- ARGV: instance, why it may be evicted (below), the end of its lease as last
-- observed, the reason to announce, how long its entries stay for a hand-over (ms),
-- '1' if they stay even without another instance, token of this call.
-- Returns 1 if it was evicted, and 0 if it has shown that it runs. An instance that
-- was evicted and runs finds its next step left out, and rewrites everything.
local gone, why, observed, reason, handOver = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
token = ARGV[7]
local function left(instance) return redis.call('HGET', progress(instance), 'state') == 'left' end

-- Whether there is another instance to which the users can come back.
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
elseif why == 'unchanged' then -- not renewed, but the clock was set back, so it will not expire soon
  if till ~= observed then return 0 end
elseif why == 'silent' then -- its connections are closed
  if till ~= observed or listening(gone) ~= 0 or left(gone) then return 0 end -- after an orderly end the hand-over time counts
elseif why == 'closed' then -- by its own call
  redis.call('HSET', progress(gone), 'state', 'left')
elseif why == 'hand over' then -- by its own call; its entries stay for a while
  redis.call('HSET', progress(gone), 'state', 'left')
  redis.call('ZADD', instances, text(now + handOver), gone)
  if ARGV[6] == '1' or others() then return 1 end
end
if left(gone) then
  reason = 'closed' -- not lost
else
  redis.call('HSET', progress(gone), 'state', 'lost')
end

local some = removeAll(ownOf(gone))
some = removeAll(staleOf(gone)) or some
redis.call('HDEL', progress(gone), 'r')
redis.call('EXPIRE', progress(gone), KEEP_PROGRESS)
redis.call('ZREM', instances, gone)
-- If Redis lost all of the instance's data, the others still have its entries.
if till or some or why == 'absent' or why == 'closed' then
  announce(number(), 'gone', gone, 'why', reason)
end
return 1
