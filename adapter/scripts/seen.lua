-- When users were active last, as long as that is remembered.
local seen = P .. ':seen'

-- Forgets those who are too many, and some of those whose time is over.
local function trimSeen()
  local old = redis.call('ZCOUNT', seen, '-inf', '(' .. text(now - KEEP_SEEN))
  local many = redis.call('ZCARD', seen) - MAX_SEEN
  local n = math.max(math.min(old, 1000), many)
  if n > 0 then redis.call('ZREMRANGEBYRANK', seen, 0, n - 1) end
end
