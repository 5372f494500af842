-- Takes keys of the index away. KEYS: which.
return redis.call('UNLINK', unpack(KEYS))
