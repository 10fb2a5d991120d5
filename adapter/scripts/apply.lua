-- Carries out an instance's changes of its own entries and what it has to say,
-- and announces each. ARGV: instance, length of its lease, then for each step:
-- kind, version, and what the function of that kind takes, five in all.
--
-- The versions of one instance rise, and progress keeps the last one done: a
-- batch that is sent again because its answer was lost changes nothing twice.
-- They rise by one: a gap means that Redis lost what was in between, so that
-- what is here is partial. Returns 0 then, for the owner to put it back.
local me, lease = ARGV[1], ARGV[2]
local own, mark = sockets(me), progress(me)
sound(own)
local done = tonumber(redis.call('HGET', mark, 'v') or '0')

-- No entry without a lease of its owner: or nobody would ever remove it.
redis.call('ZADD', instances, 'NX', text(now + lease), me)

local steps = {}

-- public is what others may read of the entry, '' for nothing; active is when
-- its user was.
function steps.put(version, address, user, active, body, public)
  local list, key = place(address)
  if list ~= '' and public ~= '' then redis.call('HLEN', members(list)) end -- as sound does
  local before = redis.call('HGET', own, address)
  local after = public == '' and '-' or '+' .. user
  if before and before ~= after then take(address, before) end
  -- This may fail, and is done once: so it comes before it is noted as done.
  if list == '' and public ~= '' and before ~= after then redis.call('HINCRBY', tabs, user, 1) end
  redis.call('HSET', own, address, after)
  local n = number()
  local entry = body .. ',"seq":' .. n .. '}' -- as text: a JSON library would change the data
  if list == '' and public ~= '' then
    raise(online, user, math.min(tonumber(active), now))
    redis.call('HSET', users, key, entry)
  else
    redis.call('HSET', entries, address, entry)
    if public ~= '' then redis.call('HSET', members(list), key, public) end
  end
  announce(n, 'put', address, 'e', entry)
end

function steps.del(version, address, reason)
  local before = redis.call('HGET', own, address)
  if not before then return end
  take(address, before)
  redis.call('HDEL', own, address)
  announce(number(), 'del', address, 'i', me, 'v', version, 'why', reason)
end

-- Messages and sign-outs are done as soon as they are begun: doing them again
-- would be seen. What stops the rest of the batch does not undo them.
local function begin(version) redis.call('HSET', mark, 'v', version) end

function steps.say(version, room, heard, tail)
  canKeep(room)
  begin(version)
  announce(number(), 'said', room, 'm', keep(room, heard, tail))
end

function steps.out(version, user)
  begin(version)
  announce(number(), 'out', user, 'i', me)
end

-- Refuses the tokens of a user that were issued until then.
function steps.rev(version, user, at)
  redis.call('ZCARD', revoked) -- as sound does
  begin(version)
  raise(revoked, user, tonumber(at))
  redis.call('ZREMRANGEBYSCORE', revoked, '-inf', text(now - KEEP_REVOKED))
  redis.call('ZREMRANGEBYRANK', revoked, 0, -MAX_REVOKED - 1)
  announce(number(), 'rev', user, 'at', at)
end

-- The owner begins to put back what was lost.
function steps.partial() redis.call('HSET', mark, 'state', 'partial') end

-- All that the owner has is here again; unless it was lost once more.
function steps.whole(version)
  if redis.call('HGET', mark, 'state') ~= 'partial' then return end
  redis.call('HSET', mark, 'state', 'whole')
  announce(number(), 'whole', me, 'v', version)
end

local gap = ARGV[4] and tonumber(ARGV[4]) > done + 1
if gap then steps.partial() end
for i = 3, #ARGV, 7 do
  local version = ARGV[i + 1]
  if tonumber(version) > done then
    steps[ARGV[i]](version, ARGV[i + 2], ARGV[i + 3], ARGV[i + 4], ARGV[i + 5], ARGV[i + 6])
    done = tonumber(version)
  end
end
redis.call('HSET', mark, 'v', text(done))
redis.call('EXPIRE', mark, KEEP_PROGRESS)
return gap and 0 or 1
