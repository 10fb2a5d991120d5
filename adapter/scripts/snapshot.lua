-- Everything at one moment, for a reader that lost its place.
-- ARGV: the instances that the reader knows.
local last = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)
local rows = redis.call('ZRANGE', instances, 0, -1)
local progresses, asked = {}, {}
local function ask(instance)
  if asked[instance] then return end
  asked[instance] = true
  local p = redis.call('HMGET', progress(instance), 'v', 'state')
  progresses[#progresses + 1] = { instance, p[1] or '0', p[2] or '' }
end
for _, instance in ipairs(rows) do ask(instance) end
for _, instance in ipairs(ARGV) do ask(instance) end
return {
  tonumber(redis.call('GET', P .. ':seq') or '0'),
  last[1] and last[1][1] or '0-0',
  server(), rows, progresses, redis.call('HGETALL', users),
}
