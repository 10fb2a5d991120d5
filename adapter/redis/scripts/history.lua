-- The time, and the messages of a room. ARGV: room. A key that is no list was written
-- by another program, and is deleted with the next message.
local kept = redis.pcall('LRANGE', P .. ':room:' .. ARGV[1] .. ':messages', 0, -1)
return { now, kept.err and {} or kept }
