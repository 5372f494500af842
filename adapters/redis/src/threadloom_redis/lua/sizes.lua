-- How many members sorted sets and hashes have. KEYS: which.
local sizes = {}
for i, key in ipairs(KEYS) do
  local kind = redis.call('TYPE', key).ok
  sizes[i] = kind == 'zset' and redis.call('ZCARD', key) or kind == 'hash' and redis.call('HLEN', key) or 0
end
return sizes
