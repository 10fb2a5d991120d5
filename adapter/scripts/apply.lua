-- Carries out an instance's changes of its own entries and what it has to say,
-- and announces each. ARGV: instance, length of its lease, token of this call,
-- then for each step: kind, number, and what the function of that kind takes,
-- five in all.
--
-- Steps that concern entries are numbered by version, messages and sign-outs by
-- a count of their own. progress keeps the last number done of either: what is
-- sent again because its answer was lost changes nothing twice. A step is
-- carried out only right after the one before it. If that one is missing, Redis
-- lost data: the step is left out, and the answer says so; then the owner begins
-- again with a reset. So the entries here are at any time exactly what the
-- owner's steps up to v make, or, between reset and whole, a part of it.
--
-- Returns whether nothing was left out, and the last numbers done.
local me, lease = ARGV[1], ARGV[2]
token = ARGV[3]
local own, stale, mark = sockets(me), outdated(me), progress(me)
sound(own)
sound(stale)
local p = redis.call('HMGET', mark, 'v', 'state', 'm', 'r')
local done, state, spoken, floor = tonumber(p[1] or '0'), p[2] or '', tonumber(p[3] or '0'), p[4] or ''

-- No entry without a lease of its owner: or nobody would ever remove it.
if state ~= 'left' then redis.call('ZADD', instances, 'NX', text(now + lease), me) end

local steps = {}

local function before(address)
  return redis.call('HGET', own, address) or redis.call('HGET', stale, address)
end

-- public is what others may read of the entry, '' for nothing; active is when
-- its user was.
function steps.put(version, address, user, active, body, public)
  local list, key = place(address)
  if list ~= '' and public ~= '' then redis.call('HLEN', members(list)) end -- as sound does
  local was = before(address)
  local after = public == '' and '-' or '+' .. user
  if was and was ~= after then take(address, was) end
  -- This may fail, and is done once: so it comes before it is noted as done.
  if list == '' and public ~= '' and was ~= after then redis.call('HINCRBY', tabs, user, 1) end
  redis.call('HSET', own, address, after)
  redis.call('HDEL', stale, address)
  local n = number()
  local entry = body .. ',"seq":' .. n .. '}' -- as text: a JSON library would change the data
  if list == '' and public ~= '' then
    raise(online, user, math.min(tonumber(active), now))
    redis.call('HSET', users, key, entry)
  else
    redis.call('HSET', entries, address, entry)
    if public ~= '' then redis.call('HSET', members(list), key, public) end
  end
  announce(n, 'put', address, 'e', entry, 'i', me, 'v', version)
end

function steps.del(version, address, reason)
  local was = before(address)
  if was then take(address, was) end
  redis.call('HDEL', own, address)
  redis.call('HDEL', stale, address)
  announce(number(), 'del', address, 'i', me, 'v', version, 'why', reason)
end

-- The owner puts back everything. What is here stays until that is done, for
-- those who read it, and is outdated. Of the messages up to base none comes
-- again.
function steps.reset(version, base)
  local was = redis.call('HGETALL', own)
  for i = 1, #was, 1000 do
    redis.call('HSET', stale, unpack(was, i, math.min(i + 999, #was)))
  end
  redis.call('DEL', own)
  state, floor = 'partial', version
  spoken = math.max(spoken, tonumber(base))
  redis.call('HSET', mark, 'state', state, 'r', floor, 'm', text(spoken))
  announce(number(), 'reset', me, 'v', version)
end

-- All that the owner has is here.
function steps.whole(version)
  if state == 'partial' then
    clear(stale)
    redis.call('HDEL', mark, 'r')
  end
  state = 'whole'
  announce(number(), 'whole', me, 'v', version, 'r', floor)
  floor = ''
end

-- Messages and sign-outs are done as soon as they are begun: doing them again
-- would be seen. What stops the rest of the batch does not undo them.
local function begin(count)
  spoken = tonumber(count)
  redis.call('HSET', mark, 'm', count)
end

function steps.say(count, room, heard, tail, client, nonce)
  canKeep(room)
  begin(count)
  local id = repeated(nonce)
  if id then -- its sender is to know
    announce(number(), 'kept', id, 'i', me, 'w', count)
    return
  end
  local message
  message, id = keep(room, heard, tail, client)
  remember(nonce, id)
  announce(number(), 'said', room, 'm', message, 'i', me, 'w', count)
end

function steps.out(count, user)
  begin(count)
  announce(number(), 'out', user, 'i', me, 'w', count)
end

-- Refuses the tokens of a user that were issued until then.
function steps.rev(count, user, at)
  redis.call('ZCARD', revoked) -- as sound does
  begin(count)
  raise(revoked, user, tonumber(at))
  redis.call('ZREMRANGEBYSCORE', revoked, '-inf', text(now - KEEP_REVOKED))
  redis.call('ZREMRANGEBYRANK', revoked, 0, -MAX_REVOKED - 1)
  announce(number(), 'rev', user, 'at', at, 'i', me, 'w', count)
end

local function isSpoken(kind) return kind == 'say' or kind == 'out' or kind == 'rev' end

-- Whether a step is next: nil if it was done already.
local function isNext(kind, n)
  if isSpoken(kind) then
    if n <= spoken then return nil end
    return n == spoken + 1
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
    if not isSpoken(kind) then
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
return { gapless, done, spoken }
