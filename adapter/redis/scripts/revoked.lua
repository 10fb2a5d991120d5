-- Every revocation: users and until when their tokens are refused, by turns.
return redis.call('ZRANGE', revoked, 0, -1, 'WITHSCORES')
