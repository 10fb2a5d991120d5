-- Notes when users were active. ARGV, for each: user, when (ms), and '1' if it
-- is to be remembered when the user has gone.
for i = 1, #ARGV, 3 do
  local user, at = ARGV[i], math.min(tonumber(ARGV[i + 1]), now)
  if redis.call('ZSCORE', online, user) then raiseTime(online, user, at) end
  if ARGV[i + 2] == '1' then raiseTime(seenOf(user), user, at) end
end
trimSeen()
return 1
