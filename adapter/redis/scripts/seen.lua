-- When users were active last, as long as that is remembered.
-- Long ids have a set of their own, so that a bound by number is one by bytes.
local seen, seenLong = P .. ':seen', P .. ':seen:long'

local function seenOf(user) return #user > SHORT_ID and seenLong or seen end

-- Forgets users beyond the bound, and some of those not active for too long.
local function trimSeen()
  for key, most in pairs({ [seen] = MAX_SEEN, [seenLong] = MAX_SEEN_LONG }) do
    local old = redis.call('ZCOUNT', key, '-inf', '(' .. text(now - KEEP_SEEN))
    local many = redis.call('ZCARD', key) - most
    local n = math.max(math.min(old, 1000), many)
    if n > 0 then redis.call('ZREMRANGEBYRANK', key, 0, n - 1) end
  end
end
