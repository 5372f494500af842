-- A batch in one partition: all is worked out first, then written.
-- ARGV: now, what the index was told, mode (r, c, w), guard, request, its age in ms, how a
-- session's place begins, ms that an empty partition stays, ms of grace, then the operations.
local now, told, mode, guard, request, age, session =
  tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6]), ARGV[7]
local retention, grace = ARGV[8], tonumber(ARGV[9])
local MOST = 9000000000000000

local H = header()
if not H then return {'CORRUPT'} end

local ring, replay = {}, nil
if mode == 'w' and H.q then
  ring = cmsgpack.unpack(H.q)
  for _, one in ipairs(ring) do
    if one[1] == request then replay = one end
  end
  if not replay and age > 0 and #ring >= 16 and ring[1][2] > micros() - age * 1000 then
    return {'UNKNOWN'}
  end
end
if guard ~= '' and num(H.v) ~= guard and not replay then return {'GUARD'} end

local at = 9
local function arg()
  at = at + 1
  return ARGV[at]
end

local before, after, order = {}, {}, {}
local version = 0
local function stamp()
  if version == 0 then version = math.max(H.v + 1, micros()) end
  return num(version)
end
local function look(m)
  local r = after[m]
  if r == nil then
    local raw = call('HGET', R, m)
    r = raw and opened(raw) or false
    before[m], after[m] = r, r
  end
  return r
end
local function set(m, r)
  if replay then return end
  if not order[m] then
    order[#order + 1] = m
    order[m] = true
  end
  after[m] = r
end
local function made(v, c, u, e, d, b, t, body)
  local front = v .. ' ' .. c .. ' ' .. u .. ' ' .. e .. ' ' .. d .. ' ' .. b .. ' ' .. t .. '|'
  return {v = v, c = c, u = u, e = e, d = d, b = b, t = t, raw = front .. body, at = #front}
end
local function holds(m, expect)
  local r = look(m)
  local lives = r and alive(r, now)
  if replay then return true end
  if expect == 'a' then return not lives end
  if expect == 'p' then return lives end
  return expect == '' or (lives and r.v == expect)
end

-- JSON without spaces: where strings and values end, and the fields of an object as they stand.
local function string_end(s, i)
  while true do
    i = find(s, '["\\]', i + 1)
    if sub(s, i, i) == '"' then return i end
    i = i + 1
  end
end
local function value_end(s, i)
  local c = sub(s, i, i)
  if c == '"' then return string_end(s, i) end
  if c ~= '{' and c ~= '[' then return find(s, '[,}]', i) - 1 end
  local depth = 0
  while true do
    i = find(s, '["{}%[%]]', i)
    c = sub(s, i, i)
    if c == '"' then i = string_end(s, i)
    elseif c == '{' or c == '[' then depth = depth + 1
    else
      depth = depth - 1
      if depth == 0 then return i end
    end
    i = i + 1
  end
end
local function fields(s, names, values)
  local i = 2
  while s ~= '{}' do
    local e = string_end(s, i)
    local stop = value_end(s, e + 2)
    local name = sub(s, i, e)
    if values[name] == nil then names[#names + 1] = name end
    values[name] = sub(s, e + 2, stop)
    if sub(s, stop + 1, stop + 1) == '}' then return end
    i = stop + 2
  end
end
local function exact(raw)
  if find(raw, '^%-?%d+$') and #raw <= 16 then
    local n = tonumber(raw)
    if n < MOST and n > -MOST then return n end
  end
end
-- Changes a document; nil where that is nothing for a script.
local function patched(doc, sets, maxima, increments)
  local names, values = {}, {}
  if doc ~= '' then fields(doc, names, values) end
  fields(sets, names, values)
  local more, wanted = {}, {}
  fields(maxima, more, wanted)
  for _, name in ipairs(more) do
    local old, new = values[name], wanted[name]
    if old == nil or old == 'null' then
      if old == nil then names[#names + 1] = name end
      values[name] = new
    else
      local a, b = exact(old), exact(new)
      if not a or not b then return nil end
      if b > a then values[name] = new end
    end
  end
  more, wanted = {}, {}
  fields(increments, more, wanted)
  for _, name in ipairs(more) do
    local old = values[name]
    if old == nil then names[#names + 1] = name end
    local a, b = exact((old == nil or old == 'null') and '0' or old), exact(wanted[name])
    if not a or not b or a + b >= MOST or a + b <= -MOST then return nil end
    values[name] = num(a + b)
  end
  local parts = {}
  for i, name in ipairs(names) do parts[i] = name .. ':' .. values[name] end
  return '{' .. table.concat(parts, ',') .. '}', values
end

-- New versions count from a base; where others wrote meanwhile, all of them move up.
local base, shift = 0, 0
local results = {}
local function answer(value) results[#results + 1] = value end
local function refuse() return {'EXPECT', #results} end

local function scan(low, high, reverse, limit, blobs)
  local found, left = {}, limit == '' and math.huge or tonumber(limit)
  while left > 0 do
    local step = math.max(50, math.min(left, 500)) -- some may have expired
    local page = reverse and call('ZREVRANGEBYLEX', O, high, low, 'LIMIT', 0, step)
      or call('ZRANGEBYLEX', O, low, high, 'LIMIT', 0, step)
    if #page == 0 then break end
    local raws = call('HMGET', R, unpack(page))
    for i, m in ipairs(page) do
      if not raws[i] then return nil end
      local r = opened(raws[i])
      if left > 0 and alive(r, now) then
        found[#found + 1] = m
        found[#found + 1] = blobs and r.raw or without_blob(r)
        left = left - 1
      end
    end
    if reverse then high = '(' .. page[#page] else low = '(' .. page[#page] end
    if #page < step then break end
  end
  return found
end

while at < #ARGV do
  local op = arg()
  if op == 'p' then
    local m, expect, e, lengths, body = arg(), arg(), arg(), arg(), arg()
    local old = look(m)
    local lives = old and alive(old, now)
    if expect == 'k' and lives then
      answer(false)
    else
      if expect ~= 'k' and not holds(m, expect) then return refuse() end
      local _, _, d, b, t = find(lengths, '(%S+) (%S+) (%S+)')
      set(m, made(stamp(), lives and old.c or ARGV[1], ARGV[1], e, d, b, t, body))
      answer('v')
    end
  elseif op == 'g' then
    local m, blob, expired = arg(), arg(), arg()
    local r = look(m)
    if r and (expired == '1' or alive(r, now)) then
      answer(blob == '1' and r.raw or without_blob(r))
    else
      answer(false)
    end
  elseif op == 'k' then
    if not holds(arg(), arg()) then return refuse() end
    answer(false)
  elseif op == 'h' then
    local m, expect, sets, maxima, increments, text, e =
      arg(), arg(), arg(), arg(), arg(), arg(), arg()
    if not holds(m, expect) then return refuse() end
    local r = look(m)
    if r and alive(r, now) and not replay then
      local first = r.at + (tonumber(r.d) or 0)
      local last = first + (tonumber(r.b) or 0)
      local doc, values = patched(sub(r.raw, r.at + 1, first), sets, maxima, increments)
      if not doc then return {'HARD'} end
      local t, words = r.t, sub(r.raw, last + 1)
      if text ~= '' then t, words = #text - 1, sub(text, 2) end
      if e == 'k' then
        e = r.e
      elseif sub(e, 1, 1) == 'l' then
        local life = values[sub(e, 2)]
        local n = life and exact(life)
        if n and n + now < MOST then e = num(n + now)
        elseif life and (n or find(life, '^%-?%d') or life == 'true' or life == 'false') then
          return {'HARD'}
        else e = '-' end
      end
      set(m, made(stamp(), r.c, ARGV[1], e, #doc, r.b, t, doc .. sub(r.raw, first + 1, last) .. words))
      answer('v')
    else
      answer(false)
    end
  elseif op == 'd' then
    local m = arg()
    if not holds(m, arg()) then return refuse() end
    local r = look(m)
    if r then
      stamp()
      set(m, false)
    end
    answer(r and alive(r, now) and 1 or 0)
  elseif op == 'n' then
    local m, v, e = arg(), arg(), arg()
    local r = look(m)
    local does = r and r.v == v and r.e ~= '-' and now < tonumber(r.e)
      and tonumber(r.e) < tonumber(e)
    if does then
      stamp()
      set(m, made(r.v, r.c, r.u, e, r.d, r.b, r.t, sub(r.raw, r.at + 1)))
    end
    answer(does and 1 or 0)
  elseif op == 't' then
    local count = 0
    for _ = 1, tonumber(arg()) do
      local low, high = arg(), arg()
      for _, m in ipairs(call('ZRANGEBYLEX', O, low, high)) do look(m) end
      local prefix = low == '-' and '' or sub(low, 2)
      for m, r in pairs(after) do
        if r and sub(m, 1, #prefix) == prefix then
          if alive(r, now) then count = count + 1 end
          stamp()
          set(m, false)
        end
      end
    end
    answer(count)
  elseif op == 's' then
    local found = scan(arg(), arg(), arg() == '1', arg(), arg() == '1')
    if not found then return {'CORRUPT'} end
    answer(found)
  elseif op == 'w' then
    local m = arg()
    look(m)
    stamp()
    local r = opened(arg())
    if shift > 0 and tonumber(r.v) > base then
      r = made(num(tonumber(r.v) + shift), r.c, r.u, r.e, r.d, r.b, r.t, sub(r.raw, r.at + 1))
    end
    set(m, r)
    answer(false)
  elseif op == 'x' then
    local m = arg()
    look(m)
    stamp()
    set(m, false)
    answer(false)
  elseif op == 'o' then
    local m, sum = arg(), arg()
    local r = look(m)
    if not replay and (r and redis.sha1hex(r.raw) or '') ~= sum then return {'GUARD'} end
  elseif op == 'b' then
    local last
    last, base = tonumber(arg()), tonumber(arg())
    if H.v > base then shift = math.max(H.v, micros()) - base end
    version = last + shift
  end
end

if replay then
  if replay[4] == false then return {'UNKNOWN'} end
  return {'OK', num(replay[3]), results, replay[4]}
end
if mode ~= 'w' or #order == 0 then return {'OK', num(version), results} end

local clock = micros()
if H.d == 0 or H.d < clock - 600000000 then
  if told <= H.S then return {'MARK', num(H.S)} end
  H.d = clock
end

local sets, adds, dels, grown = {}, {}, {}, 0
local fresh = H.n == 0
for _, m in ipairs(order) do
  local old, new = before[m], after[m]
  local is_session = session ~= '' and sub(m, 1, #session) == session
  if old then
    grown = grown - #m - #old.raw
    H.n = H.n - 1
    if old.t ~= '-' then H.k = H.k - 1 end
    if is_session then H.s = 'x' elseif old.e == '-' then H.p = H.p - 1 end
  end
  if new then
    grown = grown + #m + #new.raw
    H.n = H.n + 1
    if new.t ~= '-' then H.k = H.k + 1 end
    if is_session then H.s = new.e
    elseif new.e == '-' then H.p = H.p + 1
    else H.m = math.max(H.m, math.min(tonumber(new.e), MOST)) end
    sets[#sets + 1] = m
    sets[#sets + 1] = new.raw
    if not old then
      adds[#adds + 1] = 0
      adds[#adds + 1] = m
    end
  elseif old then
    dels[#dels + 1] = m
  end
end
H.v = version
if H.n == 0 then H.m = 0 end

local short = {}
for i, value in ipairs(results) do
  if value == 'v' then short[i] = 'v'
  elseif type(value) == 'number' then short[i] = num(value)
  else short[i] = '-' end
end
local told_back = table.concat(short, ',')
if #told_back > 400 then told_back = false end
ring[#ring + 1] = {request, clock, version, told_back}
if #ring > 16 then table.remove(ring, 1) end

-- When Redis itself may forget the keys; what has expired is decided by the records.
local deadline = '-'
if H.n > 0 then
  local last = H.m
  if H.s ~= 'x' and H.s ~= '-' then last = math.max(last, math.min(tonumber(H.s), MOST)) end
  if H.s == '-' or (H.s == 'x' and H.p > 0) then deadline = '-' else deadline = num(last) end
else
  deadline = '0'
end
local moved = deadline ~= H.t or (fresh and deadline ~= '-') or deadline == '0'
H.t = deadline

sets[#sets + 1] = 'h'
sets[#sets + 1] = heading(H)
sets[#sets + 1] = 'q'
sets[#sets + 1] = cmsgpack.pack(ring)
local function all(command, key, args)
  for i = 1, #args, 2000 do
    call(command, key, unpack(args, i, math.min(i + 1999, #args)))
  end
end
-- What makes room goes through when memory is full; anything else is refused by its first write.
local removes = #sets == 4 or (#dels > 0 and grown <= 0)
if removes then unbound() end
local function remove()
  all('HDEL', R, dels)
  all('ZREM', O, dels)
end
if removes then remove() end
all('HSET', R, sets)
if not removes then remove() end
-- A set that was emptied is a new one, without a deadline.
local bare = #adds > 0 and call('EXISTS', O) == 0
all('ZADD', O, adds)
if moved or bare then
  if deadline == '-' then
    call('PERSIST', R)
    call('PERSIST', O)
  else
    local ms = retention
    if deadline ~= '0' then
      ms = num(math.min(math.max(0, math.floor((tonumber(deadline) - now) / 1000)) + grace, MOST / 1000))
    end
    call('PEXPIRE', R, ms)
    call('PEXPIRE', O, ms)
  end
end
return {'OK', num(version), results}
