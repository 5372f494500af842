-- What the index has been told and has not entered yet, behind the format. KEYS: format, pending.
-- ARGV: how many, the number to go on behind.
return {redis.call('GET', KEYS[1]), redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. ARGV[2], '+inf',
  'WITHSCORES', 'LIMIT', 0, ARGV[1])}
