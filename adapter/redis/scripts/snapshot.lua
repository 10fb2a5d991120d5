-- Everything at one moment, for a resync. ARGV: token of this call; the reader's place
-- in the stream, '' if it has none, and its announcement's token; the instances that
-- the reader knows.
token = ARGV[1]
local from, known = ARGV[2], ARGV[3]
local last = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)
local rows = redis.call('ZRANGE', instances, 0, -1, 'WITHSCORES')
local progresses, asked = {}, {}
local function ask(instance)
  if asked[instance] then return end
  asked[instance] = true
  local p = redis.call('HMGET', progress(instance), 'v', 'state', 'r', 'm')
  local held = redis.call('HLEN', ownOf(instance)) + redis.call('HLEN', staleOf(instance))
  progresses[#progresses + 1] = { instance, p[1] or '0', p[2] or '', p[3] or '0', p[4] or '0', text(held) }
end
for i = 1, #rows, 2 do ask(rows[i]) end
for i = 4, #ARGV do ask(ARGV[i]) end

-- A chain begins with the token of the first call.
local seq = redis.call('GET', P .. ':seq') or '0'
if tokenOf(seq) == '' then
  linked = seq .. ' ' .. token
  redis.call('SET', link, linked)
end

-- The messages behind the reader's place. If Redis does not have the place any more,
-- all messages: the reader knows which it has.
local missed = {}
if from ~= '' then
  local at = redis.call('XRANGE', stream, from, from)[1]
  local first = '-'
  if at and at[2][5] == 'c' and at[2][6] == known then
    local ms, n = string.match(from, '^(%d+)-(%d+)$')
    first = ms .. '-' .. text(n + 1)
  end
  for _, row in ipairs(redis.call('XRANGE', stream, first, '+')) do
    local kind = row[2][7]
    if kind == 'said' or kind == 'out' or kind == 'rev' or kind == 'kept' then missed[#missed + 1] = row end
  end
end
return {
  now, tonumber(seq), tokenOf(seq), last[1] and last[1][1] or '0-0',
  rows, progresses, redis.call('HGETALL', users), redis.call('HGETALL', entries), missed,
}
