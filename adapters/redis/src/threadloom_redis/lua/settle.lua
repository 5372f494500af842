-- What the index is to know of a partition; from now on the index has to be told again.
-- ARGV: up to what it was told, how a session's place begins, ms that an empty partition stays.
local H = header()
if not H then return {'CORRUPT'} end
local fresh = not H.there
if fresh then H.v, H.t = micros(), '0' end
H.S = math.max(H.S, tonumber(ARGV[1]))
H.d = 0
local record = false
if ARGV[2] ~= '' then
  local page = call('ZRANGEBYLEX', O, '[' .. ARGV[2], '+', 'LIMIT', 0, 1)
  if page[1] and sub(page[1], 1, #ARGV[2]) == ARGV[2] then
    local raw = call('HGET', R, page[1])
    if not raw then return {'CORRUPT'} end
    record = {sub(page[1], #ARGV[2] + 1), without_blob(opened(raw))}
  end
end
unbound() -- who lists, or makes room, is not kept off by memory that is full
call('HSET', R, 'h', heading(H))
if fresh then call('PEXPIRE', R, ARGV[3]) end
return {'OK', num(H.v), num(H.n), record}
