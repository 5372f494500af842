-- What the index has been told and has not entered yet. KEYS: format, pending.
-- ARGV: how many, the number to go on behind; a third one makes the index count as whole.
if ARGV[3] then redis.call('SET', KEYS[1], ARGV[3]) end
local format = redis.call('GET', KEYS[1])
if not format then return {'LOST'} end
return {format, redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. ARGV[2], '+inf', 'WITHSCORES',
  'LIMIT', 0, ARGV[1])}
