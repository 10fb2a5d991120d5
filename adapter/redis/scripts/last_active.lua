-- When a user was active last, '' if that is not remembered. ARGV: user.
local at = redis.call('ZSCORE', seenOf(ARGV[1]), ARGV[1])
  or redis.call('ZSCORE', seen, ARGV[1]) -- noted by an earlier release
return at and tonumber(at) >= now - KEEP_SEEN and text(at) or ''
