-- Compares what an instance has with what the others had at the same
-- announcement. ARGV: instance, the announcement that it read last, and what it
-- has then, as text. Returns 1 if another one had something else.
local compared = P .. ':compared'
if redis.call('TYPE', compared).ok ~= 'hash' then redis.call('DEL', compared) end
local mine = ARGV[2] .. ' ' .. ARGV[3]
redis.call('HSET', compared, ARGV[1], mine)
redis.call('EXPIRE', compared, 60)
if (redis.call('GET', P .. ':seq') or '0') ~= ARGV[2] then return 0 end -- there is news
local differs = 0
local rows = redis.call('HGETALL', compared)
for i = 1, #rows, 2 do
  if not redis.call('ZSCORE', instances, rows[i]) then
    redis.call('HDEL', compared, rows[i])
  elseif rows[i + 1] ~= mine and string.match(rows[i + 1], '^(%d+) ') == ARGV[2] then
    differs = 1
  end
end
return differs
