-- What the index has been told and has not entered yet, behind the format and before the last number
-- that was given out. KEYS: format, pending, sequence. ARGV: how many, the number to go on behind.
return {redis.call('GET', KEYS[1]), redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. ARGV[2], '+inf',
  'WITHSCORES', 'LIMIT', 0, ARGV[1]), redis.call('GET', KEYS[3])}
