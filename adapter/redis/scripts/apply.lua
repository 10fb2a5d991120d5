-- Carries out the changes of an instance's own entries and its messages, and
-- announces each. A message is a chat message, a sign-out or a revocation.
-- ARGV: instance, length of its lease, token of this call, then for each step:
-- kind, number, and what the function of that kind takes, five in all.
--
-- Steps that concern entries are numbered by version, messages by a count of
-- their own. progress keeps the last number done of either, so a step that is sent
-- again because its answer was lost is not done twice. A step is carried out only
-- right after the one before it. If that one is missing, Redis lost data: the step
-- is left out, the answer says so, and the owner begins again with a reset. So the
-- entries in Redis are at any time exactly the result of the owner's steps up to v,
-- or, between reset and whole, a part of it.
--
-- Returns 1 if nothing was left out, else 0, and the last numbers done.
local me, lease = ARGV[1], ARGV[2]
token = ARGV[3]
local own, stale, mark = ownOf(me), staleOf(me), progress(me)
checkTypes(own)
checkTypes(stale)
local p = redis.call('HMGET', mark, 'v', 'state', 'm', 'r')
local done, state, sent, floor = tonumber(p[1] or '0'), p[2] or '', tonumber(p[3] or '0'), p[4] or ''

-- An entry whose owner has no lease would never be removed.
if state ~= 'left' then redis.call('ZADD', instances, 'NX', text(now + lease), me) end

local steps = {}

local function before(address)
  return redis.call('HGET', own, address) or redis.call('HGET', stale, address)
end

-- public is what other programs may read of the entry, '' for nothing; active is
-- when its user was active.
function steps.put(version, address, user, active, body, public)
  local list, key = splitAddress(address)
  if list ~= '' and public ~= '' then redis.call('HLEN', members(list)) end -- as checkTypes does
  local was = before(address)
  local after = public == '' and '-' or '+' .. user
  if was and was ~= after then removeEntry(address, was) end
  -- HINCRBY may fail and must not be repeated: it comes before the step counts as done.
  if list == '' and public ~= '' and was ~= after then redis.call('HINCRBY', tabs, user, 1) end
  redis.call('HSET', own, address, after)
  redis.call('HDEL', stale, address)
  local n = number()
  local entry = body .. ',"seq":' .. n .. '}' -- as text: a JSON library would change the data
  if list == '' and public ~= '' then
    raiseTime(online, user, math.min(tonumber(active), now))
    redis.call('HSET', users, key, entry)
  else
    redis.call('HSET', entries, address, entry)
    if public ~= '' then redis.call('HSET', members(list), key, public) end
  end
  announce(n, 'put', address, 'e', entry, 'i', me, 'v', version)
end

function steps.del(version, address, reason)
  local was = before(address)
  if was then removeEntry(address, was) end
  redis.call('HDEL', own, address)
  redis.call('HDEL', stale, address)
  announce(number(), 'del', address, 'i', me, 'v', version, 'why', reason)
end

-- The owner rewrites everything. Its entries of before become stale; they stay until
-- the rewrite is complete, for programs that read them. No message up to base is
-- sent again.
function steps.reset(version, base)
  local was = redis.call('HGETALL', own)
  for i = 1, #was, 1000 do
    redis.call('HSET', stale, unpack(was, i, math.min(i + 999, #was)))
  end
  redis.call('DEL', own)
  state, floor = 'partial', version
  sent = math.max(sent, tonumber(base))
  redis.call('HSET', mark, 'state', state, 'r', floor, 'm', text(sent))
  announce(number(), 'reset', me, 'v', version)
end

-- The rewrite is complete.
function steps.whole(version)
  if state == 'partial' then
    removeAll(stale)
    redis.call('HDEL', mark, 'r')
  end
  state = 'whole'
  announce(number(), 'whole', me, 'v', version, 'r', floor)
  floor = ''
end

-- A message counts as done before it is kept, since clients would see it twice if it
-- were done again. An error in the rest of the batch does not undo it.
local function startMessage(count)
  sent = tonumber(count)
  redis.call('HSET', mark, 'm', count)
end

function steps.say(count, room, after, tail, client, nonce)
  canKeep(room)
  startMessage(count)
  local id = repeated(nonce)
  if id then -- the sender gets the id from before
    announce(number(), 'kept', id, 'i', me, 'w', count)
    return
  end
  local message
  message, id = keep(room, after, tail, client)
  remember(nonce, id)
  announce(number(), 'said', room, 'm', message, 'i', me, 'w', count)
end

function steps.out(count, user)
  startMessage(count)
  announce(number(), 'out', user, 'i', me, 'w', count)
end

-- Refuses the tokens of a user that were issued until then.
function steps.rev(count, user, at)
  redis.call('ZCARD', revoked) -- as checkTypes does
  startMessage(count)
  raiseTime(revoked, user, tonumber(at))
  redis.call('ZREMRANGEBYSCORE', revoked, '-inf', text(now - KEEP_REVOKED))
  redis.call('ZREMRANGEBYRANK', revoked, 0, -MAX_REVOKED - 1)
  announce(number(), 'rev', user, 'at', at, 'i', me, 'w', count)
end

local function isMessage(kind) return kind == 'say' or kind == 'out' or kind == 'rev' end

-- Whether a step is next: nil if it was done already.
local function isNext(kind, n)
  if isMessage(kind) then
    if n <= sent then return nil end
    return n == sent + 1
  end
  if n <= done then return nil end
  if kind == 'reset' then return true end
  if state == '' and done == 0 then return n == 1 end
  return (state == 'whole' or state == 'partial') and n == done + 1
end

local gapless = 1
for i = 4, #ARGV, 7 do
  local kind, n = ARGV[i], ARGV[i + 1]
  local isIt = isNext(kind, tonumber(n))
  if isIt then
    steps[kind](n, ARGV[i + 2], ARGV[i + 3], ARGV[i + 4], ARGV[i + 5], ARGV[i + 6])
    if not isMessage(kind) then
      done = tonumber(n)
      if state == '' then state = 'whole' end
    end
  elseif isIt == false then
    gapless = 0
  end
end
redis.call('HSET', mark, 'v', text(done))
if state ~= '' then redis.call('HSET', mark, 'state', state) end
redis.call('EXPIRE', mark, KEEP_PROGRESS)
return { gapless, done, sent }
