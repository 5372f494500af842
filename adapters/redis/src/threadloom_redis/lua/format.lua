-- The format of what is here; false where there is none. KEYS: format.
-- ARGV: the format that is written where there is none yet, and makes the index count as whole.
if ARGV[1] then redis.call('SET', KEYS[1], ARGV[1], 'NX') end
return redis.call('GET', KEYS[1])
