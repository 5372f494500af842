-- Some records of a partition, living or not. ARGV: their places.
local H = header()
if not H then return {'CORRUPT'} end
local found = {}
for _, m in ipairs(ARGV) do
  local raw = call('HGET', R, m)
  if raw then
    found[#found + 1] = m
    found[#found + 1] = opened(raw).raw
  end
end
return {'OK', num(math.max(H.v, micros())), false, found, num(H.v)}
