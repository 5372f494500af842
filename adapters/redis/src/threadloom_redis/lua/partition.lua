-- What every script knows of a partition. KEYS: records (hash), order (sorted set).
local R, O = KEYS[1], KEYS[2]
local call, find, sub = redis.call, string.find, string.sub

local function num(n) return string.format('%.0f', n) end
local function micros()
  local t = call('TIME')
  return tonumber(t[1]) * 1000000 + tonumber(t[2])
end

-- The header: version, records, records that never expire, greatest expiry, expiry of the session
-- ('x': no session, '-': never), when the index was told, what the index has settled, texts,
-- the deadline that the keys have, the format.
local FORMAT = '1'
local function header()
  local raw = call('HMGET', R, 'h', 'q')
  local H = {v = 0, n = 0, p = 0, m = 0, s = 'x', d = 0, S = 0, k = 0, t = '-', q = raw[2]}
  local extra = raw[2] and 1 or 0
  if raw[1] then
    local w = {}
    for word in string.gmatch(raw[1], '%S+') do w[#w + 1] = word end
    H.v, H.n, H.p, H.m = tonumber(w[1]), tonumber(w[2]), tonumber(w[3]), tonumber(w[4])
    H.s, H.d, H.S, H.k, H.t = w[5], tonumber(w[6]), tonumber(w[7]), tonumber(w[8]), w[9]
    if w[10] and w[10] ~= FORMAT then error('FORMAT ' .. w[10]) end
    H.there = true
    extra = extra + 1
  end
  if call('HLEN', R) ~= H.n + extra or call('ZCARD', O) ~= H.n then return nil end
  return H
end
local function heading(H)
  return num(H.v) .. ' ' .. num(H.n) .. ' ' .. num(H.p) .. ' ' .. num(H.m) .. ' ' .. H.s .. ' '
    .. num(H.d) .. ' ' .. num(H.S) .. ' ' .. num(H.k) .. ' ' .. H.t .. ' ' .. FORMAT
end

-- Redis looks whether memory is full before a script's first write; one that takes none is let
-- through, and with it what follows.
local function unbound() call('HDEL', R, ' ') end

-- A record: its front taken apart, the rest where it lies.
local function opened(raw)
  local _, at, v, c, u, e, d, b, t =
    find(raw, '^(%d+) (%-?%d+) (%-?%d+) ([%d-]+) ([%d-]+) ([%d-]+) ([%d-]+)|')
  if not at then error('DAMAGED ' .. sub(raw, 1, 60)) end
  return {v = v, c = c, u = u, e = e, d = d, b = b, t = t, raw = raw, at = at}
end
local function without_blob(r)
  if r.b == '-' then return r.raw end
  local first = r.at + (tonumber(r.d) or 0)
  return r.v .. ' ' .. r.c .. ' ' .. r.u .. ' ' .. r.e .. ' ' .. r.d .. ' - ' .. r.t .. '|'
    .. sub(r.raw, r.at + 1, first) .. sub(r.raw, first + tonumber(r.b) + 1)
end
local function alive(r, now) return r.e == '-' or tonumber(r.e) > now end
