-- When a user was active last, '' if that is not remembered. ARGV: user.
local at = redis.call('ZSCORE', seen, ARGV[1])
return at and tonumber(at) >= now - KEEP_SEEN and text(at) or ''
