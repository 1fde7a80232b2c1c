-- A token bucket that many hosts take from, by the clock of the server that keeps it.
-- KEYS[1]: the bucket. ARGV: units regained per minute, units when full, units to take
-- (0 looks without taking). Answers whether they were taken, 1 or 0, and the level then.
--
-- A level counts sixty-millionths of a unit, so a rate of 1 per minute adds exactly 1 in
-- a microsecond. Numbers are doubles here: all of them are whole and below 2^53.
local PER_UNIT = 60000000
local rate, burst, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local full = burst * PER_UNIT
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

-- No bucket is a full one.
local level, seen = full, now
local kept = redis.call('HMGET', KEYS[1], 'level', 'seen', 'rate', 'burst')
if kept[1] then
  local kept_rate, kept_burst = tonumber(kept[3]), tonumber(kept[4])
  local kept_full = kept_burst * PER_UNIT
  level, seen = tonumber(kept[1]), tonumber(kept[2])
  -- A clock that goes back adds nothing.
  if now > seen then
    level = math.min(kept_full, level + math.min((now - seen) * kept_rate, kept_full))
    seen = now
  end
  -- With other limits what was spent stays spent.
  if kept_rate ~= rate or kept_burst ~= burst then
    level = math.max(0, full - (kept_full - level))
  end
end

local price, taken = cost * PER_UNIT, 0
if price <= level then
  level = level - price
  taken = 1
end
if kept[1] or (taken == 1 and cost > 0) then
  redis.call('HSET', KEYS[1], 'level', string.format('%.0f', level),
    'seen', string.format('%.0f', seen), 'rate', rate, 'burst', burst)
  -- Once it is full again it need not be kept; a minute more, should the clock go back.
  if rate > 0 then
    redis.call('PEXPIRE', KEYS[1], math.ceil((full - level) / rate / 1000) + 60000)
  else
    redis.call('PERSIST', KEYS[1])
  end
end
return {taken, string.format('%.0f', level)}
