-- Carries out an instance's changes of its own entries, and announces each.
-- ARGV: instance, length of its lease, bound of the stream, keep (seconds),
-- then for each change: kind, version, socket, user id, body.
--
-- The versions of one instance rise, and progress keeps the last one done: a
-- batch that is sent again because its answer was lost changes nothing twice.
-- They rise by one: a gap means that Redis lost what was in between, so that
-- what is here is partial. Returns 0 then, for the owner to put it back.
local me, lease, maxlen, keep = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local own, mark = sockets(me), progress(me)

-- No entry without a lease of its owner: or nobody would ever remove it.
redis.call('ZADD', instances, 'NX', text(now + lease), me)

local function put(version, socket, user, body)
  local before = redis.call('HGET', own, socket)
  if before ~= user then
    if before then less(before) end
    redis.call('HINCRBY', tabs, user, 1)
  end
  redis.call('ZADD', online, text(now), user)
  redis.call('HSET', own, socket, user)
  local n = number()
  local entry = body .. ',"seq":' .. n .. '}' -- as text: a JSON library would change the user
  redis.call('HSET', users, socket, entry)
  announce(maxlen, n, 'put', socket, 'e', entry)
end

local function remove(version, socket, reason)
  local user = redis.call('HGET', own, socket)
  if not user then return end
  redis.call('HDEL', own, socket)
  redis.call('HDEL', users, socket)
  less(user)
  announce(maxlen, number(), 'del', socket, 'i', me, 'v', version, 'why', reason)
end

local done = tonumber(redis.call('HGET', mark, 'v') or '0')
local gap = ARGV[6] and tonumber(ARGV[6]) > done + 1
if gap then redis.call('HSET', mark, 'state', 'partial') end
for i = 5, #ARGV, 5 do
  local kind, version, socket, user, body = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
  if tonumber(version) > done then
    if kind == 'put' then
      put(version, socket, user, body)
    elseif kind == 'del' then
      remove(version, socket, body)
    elseif kind == 'partial' then -- the owner puts back what was lost
      redis.call('HSET', mark, 'state', 'partial')
    elseif kind == 'whole' and redis.call('HGET', mark, 'state') == 'partial' then
      -- All that the owner has is here again; unless it was lost once more.
      redis.call('HSET', mark, 'state', 'whole')
      announce(maxlen, number(), 'whole', me, 'v', version)
    end
    done = tonumber(version)
  end
end
redis.call('HSET', mark, 'v', text(done))
redis.call('EXPIRE', mark, keep)
return gap and 0 or 1
