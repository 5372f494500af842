-- Brings what partitions told into the index. KEYS: pending, partitions, entered.
-- ARGV: how the index's other keys begin, then for each partition: its name, what the index had
-- been told, version, records, 1 or 0 whether a session is there; for a session: whose it is,
-- id, created, updated, expires ('-' never), number of entries, the entries.
local call, base, at = redis.call, ARGV[1], 1
-- A write that takes no memory, as the first one: with it this goes on where memory is full.
call('ZREM', KEYS[1], '')
local function arg()
  at = at + 1
  return ARGV[at]
end
local function keys_of(root, entry)
  return base .. 'created:' .. root .. '\0' .. entry, base .. 'updated:' .. root .. '\0' .. entry
end
local function leave(old)
  for _, entry in ipairs(old[7]) do
    local c, u = keys_of(old[2], entry)
    call('ZREM', c, old[3])
    call('ZREM', u, old[3])
  end
  call('ZREM', base .. 'ids:' .. old[2], old[3])
  call('ZREM', base .. 'expires:' .. old[2], old[3])
end
local function same(one, other)
  if #one ~= #other then return false end
  for i, entry in ipairs(one) do
    if entry ~= other[i] then return false end
  end
  return true
end
while at < #ARGV do
  local name, told, version, records, has = arg(), arg(), arg(), arg(), arg() == '1'
  local new
  if has then
    new = {version, arg(), arg(), arg(), arg(), arg(), {}}
    for i = 1, tonumber(arg()) do new[7][i] = arg() end
  end
  local raw = call('HGET', KEYS[3], name)
  local old = raw and cmsgpack.unpack(raw)
  local pending = call('ZSCORE', KEYS[1], name)
  -- What is not pending any more was entered by somebody else, as it is or newer.
  local due = pending or tonumber(told) == 0
  if due and (not old or tonumber(old[1]) <= tonumber(version)) then
    if old and not (new and old[2] == new[2] and old[3] == new[3] and same(old[7], new[7])) then
      leave(old)
    end
    if new then
      for _, entry in ipairs(new[7]) do
        local c, u = keys_of(new[2], entry)
        call('ZADD', c, new[4], new[3])
        call('ZADD', u, new[5], new[3])
      end
      call('ZADD', base .. 'ids:' .. new[2], 0, new[3])
      if new[6] == '-' then call('ZREM', base .. 'expires:' .. new[2], new[3])
      else call('ZADD', base .. 'expires:' .. new[2], new[6], new[3]) end
      call('HSET', KEYS[3], name, cmsgpack.pack(new))
    elseif old then
      call('HDEL', KEYS[3], name)
    end
    if records == '0' then call('ZREM', KEYS[2], name) else call('ZADD', KEYS[2], 0, name) end
  end
  if pending and tonumber(pending) == tonumber(told) then call('ZREM', KEYS[1], name) end
end
return 1
