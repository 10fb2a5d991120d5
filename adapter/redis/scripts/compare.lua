-- Compares an instance's digest with those of the others at the same announcement.
-- ARGV: instance, the announcement that it read last, by number and token, and its
-- digest then. Returns 1 if another one had a different digest.
if redis.call('GET', link) ~= ARGV[2] then return 0 end -- there are newer or other data
local compared = P .. ':compared'
if redis.call('TYPE', compared).ok ~= 'hash' then redis.call('DEL', compared) end
local here = ARGV[2] .. ' '
local mine = here .. ARGV[3]
redis.call('HSET', compared, ARGV[1], mine)
redis.call('EXPIRE', compared, 60)
local differs = 0
local rows = redis.call('HGETALL', compared)
for i = 1, #rows, 2 do
  if not redis.call('ZSCORE', instances, rows[i]) then
    redis.call('HDEL', compared, rows[i])
  elseif rows[i + 1] ~= mine and string.sub(rows[i + 1], 1, #here) == here then
    differs = 1
  end
end
return differs
