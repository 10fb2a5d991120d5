-- Every revocation: a user, then until when the user's tokens are refused.
return redis.call('ZRANGE', revoked, 0, -1, 'WITHSCORES')
