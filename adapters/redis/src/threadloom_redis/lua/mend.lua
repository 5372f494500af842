-- Makes a damaged partition whole of what is left: records decide. ARGV: how a session's place
-- begins. The answer: records that are there, places of which the record is gone.
local session = ARGV[1]
local raw = call('HGET', R, 'h')
local version = raw and tonumber(string.match(raw, '^%d+')) or 0
local kept = {v = math.max(version, micros()), n = 0, p = 0, m = 0, s = 'x', d = 0, S = 0, k = 0, t = '-'}
local lost = 0
for _, place in ipairs(call('ZRANGE', O, 0, -1)) do
  if call('HEXISTS', R, place) == 0 then
    lost = lost + 1
    call('ZREM', O, place)
  end
end
for _, place in ipairs(call('HKEYS', R)) do
  if place ~= 'h' and place ~= 'q' then
    local r = opened(call('HGET', R, place))
    call('ZADD', O, 0, place)
    kept.n = kept.n + 1
    if r.t ~= '-' then kept.k = kept.k + 1 end
    if session ~= '' and sub(place, 1, #session) == session then kept.s = r.e
    elseif r.e == '-' then kept.p = kept.p + 1
    else kept.m = math.max(kept.m, tonumber(r.e)) end
  end
end
call('HSET', R, 'h', heading(kept))
call('PERSIST', R)
call('PERSIST', O)
return {'OK', kept.n, lost}
