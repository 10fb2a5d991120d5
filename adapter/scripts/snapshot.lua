-- Everything at one moment, for a reader that lost its place: that place, '' if
-- it has none, and the instances that the reader knows, are ARGV.
local from = ARGV[1]
local last = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)
local rows = redis.call('ZRANGE', instances, 0, -1)
local progresses, asked = {}, {}
local function ask(instance)
  if asked[instance] then return end
  asked[instance] = true
  local p = redis.call('HMGET', progress(instance), 'v', 'state')
  progresses[#progresses + 1] = { instance, p[1] or '0', p[2] or '', text(redis.call('HLEN', sockets(instance))) }
end
for _, instance in ipairs(rows) do ask(instance) end
for i = 2, #ARGV do ask(ARGV[i]) end

-- No snapshot holds what was said: it is read on, as far as it is there.
local spoken = {}
local ms, n = string.match(from, '^(%d+)-(%d+)$')
if ms then
  for _, row in ipairs(redis.call('XRANGE', stream, ms .. '-' .. text(n + 1), '+')) do
    if row[2][3] == 'said' or row[2][3] == 'out' then spoken[#spoken + 1] = row[2] end
  end
end
return {
  tonumber(redis.call('GET', P .. ':seq') or '0'),
  last[1] and last[1][1] or '0-0',
  server(), rows, progresses, redis.call('HGETALL', users), redis.call('HGETALL', entries), spoken,
}
