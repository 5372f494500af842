-- Tells the index that a partition is about to change. KEYS: sequence, pending, format.
-- ARGV: the partition, above which number the answer must be, the format that is known, 1 if what
-- comes may make room: then it is taken down although memory is full (a first write that takes none
-- is let through, and with it what follows).
local format = redis.call('GET', KEYS[3])
if format and format ~= ARGV[3] then return {format} end
local t = redis.call('TIME')
local last = tonumber(redis.call('GET', KEYS[1]) or '0')
local number = math.max(last + 1, tonumber(t[1]) * 1000000 + tonumber(t[2]), tonumber(ARGV[2]) + 1)
number = string.format('%.0f', number)
if ARGV[4] == '1' then redis.call('ZREM', KEYS[2], ARGV[1]) end
redis.call('SET', KEYS[1], number)
redis.call('ZADD', KEYS[2], number, ARGV[1])
return {format, number, redis.call('ZCARD', KEYS[2])}
