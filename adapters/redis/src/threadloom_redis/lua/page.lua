-- Records of a partition in the order of their places, living or not.
-- ARGV: how many, whether with blobs, whether only such with texts, ranges.
local H = header()
if not H then return {'CORRUPT'} end
local left, blobs, texts = tonumber(ARGV[1]), ARGV[2] == '1', ARGV[3] == '1'
local found, last, ranges = {}, false, 0
if H.n > 0 and not (texts and H.k == 0) then
  for i = 4, #ARGV, 2 do
    local low, high = ARGV[i], ARGV[i + 1]
    while left > 0 do
      local step = math.min(left, 500)
      local page = call('ZRANGEBYLEX', O, low, high, 'LIMIT', 0, step)
      if #page == 0 then break end
      local raws = call('HMGET', R, unpack(page))
      for j, m in ipairs(page) do
        if not raws[j] then return {'CORRUPT'} end
        local r = opened(raws[j])
        if not texts or r.t ~= '-' then
          found[#found + 1] = m
          found[#found + 1] = blobs and r.raw or without_blob(r)
        end
      end
      left = left - #page
      last = page[#page]
      low = '(' .. last
      if #page < step then break end
    end
    if left == 0 then break end
    ranges = ranges + 1
  end
end
-- Where to go on: in which range, behind which place; false where all has been read.
return {'OK', num(math.max(H.v, micros())), left == 0 and {ranges, last} or false, found, num(H.v)}
