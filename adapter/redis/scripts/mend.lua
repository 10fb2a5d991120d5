-- Deletes values of other programs that no script can work with, and what depends on
-- them; the instances write it again. Returns the keys.
-- ARGV: '1' to delete all that a failing script could have met, else only keys of a
-- wrong type; how many instances are known, and these; then the rooms that queued
-- changes are of.
local all = ARGV[1] == '1'
local found = {}
local function delete(key)
  found[#found + 1] = key
  redis.call('DEL', key)
  return true
end
local function wrong(key, want)
  local is = redis.call('TYPE', key).ok
  return is ~= 'none' and is ~= want and delete(key)
end

local seq = P .. ':seq'
if not wrong(seq, 'string') and not tonumber(redis.call('GET', seq) or '0') then delete(seq) end
wrong(stream, 'stream')
wrong(link, 'string')
wrong(P .. ':seen', 'zset')
wrong(P .. ':seen:long', 'zset')
wrong(revoked, 'zset')

-- Histories.
local account, used = P .. ':messages', P .. ':messages:used'
local rooms = {}
for i = 3 + ARGV[2], #ARGV do
  local list = P .. ':room:' .. ARGV[i] .. ':messages'
  rooms['room:' .. ARGV[i]] = true
  if not wrong(list, 'list') and all then redis.call('DEL', list) end
end
if wrong(account, 'hash') or wrong(used, 'zset') or all then redis.call('DEL', account, used) end
local byOwner = { [P .. ':messages:owners'] = 'hash', [P .. ':messages:addresses'] = 'zset', [P .. ':messages:nonces'] = 'hash', [P .. ':messages:nonces:times'] = 'zset' }
for key, want in pairs(byOwner) do
  if not wrong(key, want) and all then redis.call('DEL', key) end
end

-- The map. Its parts are of use only together.
local torn = all and delete(entries)
for _, key in ipairs({ users, entries, tabs }) do torn = wrong(key, 'hash') or torn end
torn = wrong(online, 'zset') or torn
wrong(instances, 'zset') -- the leases are renewed
local everyone = redis.call('ZRANGE', instances, 0, -1)
for i = 3, 2 + ARGV[2] do everyone[#everyone + 1] = ARGV[i] end
for _, instance in ipairs(everyone) do
  torn = wrong(ownOf(instance), 'hash') or torn
  torn = wrong(staleOf(instance), 'hash') or torn
  local mark = progress(instance)
  if wrong(mark, 'hash') or not tonumber(redis.call('HGET', mark, 'v') or '0') or not tonumber(redis.call('HGET', mark, 'm') or '0') then
    redis.call('DEL', mark)
    torn = true
  end
  for _, address in ipairs(redis.call('HKEYS', ownOf(instance))) do
    if string.find(address, '^%d+:') then rooms[(splitAddress(address))] = true end
  end
end
for list in pairs(rooms) do torn = list ~= '' and wrong(members(list), 'hash') or torn end
if torn then
  for list in pairs(rooms) do redis.call('DEL', members(list)) end
  for _, instance in ipairs(everyone) do
    redis.call('DEL', ownOf(instance), staleOf(instance))
    -- Its owner has to rewrite everything.
    if redis.call('HEXISTS', progress(instance), 'v') == 1 then redis.call('HSET', progress(instance), 'state', 'damaged') end
  end
  redis.call('DEL', users, entries, tabs, online)
end
return found
