-- A page of an ordered set of the index: members between two scores, behind a place in the order.
-- KEYS: the set. ARGV: least, greatest score, 1 if descending, how many, the score and the member
-- to go on behind (both empty: from the beginning).
local low, high, down, count, score, member =
  ARGV[1], ARGV[2], ARGV[3] == '1', tonumber(ARGV[4]), ARGV[5], ARGV[6]
local call, K = redis.call, KEYS[1]
local first = low == '-inf' and 0 or call('ZCOUNT', K, '-inf', (string.sub(low, 1, 1) == '(')
  and string.sub(low, 2) or '(' .. low)
local last = call('ZCOUNT', K, '-inf', high) - 1
-- Not by `<`, which goes by the server's locale.
local function is_less(one, other)
  for i = 1, math.min(#one, #other) do
    local a, b = string.byte(one, i), string.byte(other, i)
    if a ~= b then return a < b end
  end
  return #one < #other
end
if score ~= '' then
  -- How many stand before the place: those with a smaller score, and of the equals the smaller.
  local before = call('ZCOUNT', K, '-inf', '(' .. score)
  local from, to = before, before + call('ZCOUNT', K, score, score)
  while from < to do
    local middle = math.floor((from + to) / 2)
    local found = call('ZRANGE', K, middle, middle)[1]
    if is_less(found, member) or (not down and found == member) then from = middle + 1 else to = middle end
  end
  if down then last = math.min(last, from - 1) else first = math.max(first, from) end
end
if first > last then return {} end
if down then
  local stop = call('ZCARD', K) - 1
  return call('ZREVRANGE', K, stop - last, math.min(stop - last + count - 1, stop - first), 'WITHSCORES')
end
return call('ZRANGE', K, first, math.min(first + count - 1, last), 'WITHSCORES')
