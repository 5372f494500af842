-- How many sessions the index has, and how many of them have expired. KEYS: ids, expires. ARGV: now.
return {redis.call('ZCARD', KEYS[1]), redis.call('ZCOUNT', KEYS[2], '-inf', ARGV[1])}
