-- The messages of a room, and the time. ARGV: room. What is no list was written
-- by somebody else, and goes with the next message.
local kept = redis.pcall('LRANGE', P .. ':room:' .. ARGV[1] .. ':messages', 0, -1)
return { now, kept.err and {} or kept }
