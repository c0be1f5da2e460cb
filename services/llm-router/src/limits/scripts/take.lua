-- Takes a place, or says what is lacking: {1, 0, 0}, or {0, microseconds until the window has room, 1 when crowded}.
-- KEYS: the calls of the last minute by time; their tokens, and the sum of these; the places held by the end of their
-- lease; who waits for a place, by the time when they came; the same by the time until which they keep their position.
-- ARGV: the place; calls a minute, tokens a minute and calls at once (0: no limit); its tokens; its lease in
-- microseconds; the time in microseconds, empty for the server's own, so that the clocks of replicas do not matter; for
-- how many microseconds the asker keeps its position when it waits, 0: it does not.
local calls, sizes, held, line, looks = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local place, requests, limit, most = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local tokens, lease, now = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local stays = tonumber(ARGV[8])
local MINUTE, BATCH = 60000000, 100

if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end

local function text(number)
  return string.format('%.0f', number)
end

-- What is older than a minute goes.
repeat
  local old = redis.call('ZRANGEBYSCORE', calls, '-inf', text(now - MINUTE), 'LIMIT', 0, BATCH)
  if #old > 0 then
    local gone = 0
    for _, size in ipairs(redis.call('HMGET', sizes, unpack(old))) do
      gone = gone + tonumber(size or 0)
    end
    redis.call('HINCRBY', sizes, 'sum', text(0 - gone))
    redis.call('HDEL', sizes, unpack(old))
    redis.call('ZREM', calls, unpack(old))
  end
until #old < BATCH

local count = redis.call('ZCARD', calls)
if count == 0 then
  -- A sum that outlived its calls, because Redis was short of memory, ends here.
  redis.call('DEL', sizes)
end
local sum = tonumber(redis.call('HGET', sizes, 'sum') or 0)

local function fits()
  return (requests == 0 or count < requests) and (limit == 0 or count == 0 or sum + tokens <= limit)
end

-- The calls leave the window in their order until there is room.
local wait, from = 0, 0
while not fits() do
  local oldest = redis.call('ZRANGE', calls, from, from + BATCH - 1, 'WITHSCORES')
  if #oldest == 0 then
    break
  end
  local places = {}
  for i = 1, #oldest, 2 do
    places[#places + 1] = oldest[i]
  end
  for i, size in ipairs(redis.call('HMGET', sizes, unpack(places))) do
    if fits() then
      break
    end
    count, sum = count - 1, sum - tonumber(size or 0)
    wait = oldest[2 * i] + MINUTE - now
  end
  from = from + BATCH
end

redis.call('ZREMRANGEBYSCORE', held, '-inf', text(now))
local crowded, position = false, false
if most > 0 then
  -- Who no longer looks has gone.
  for _, gone in ipairs(redis.call('ZRANGEBYSCORE', looks, '-inf', text(now), 'LIMIT', 0, BATCH)) do
    redis.call('ZREM', line, gone)
    redis.call('ZREM', looks, gone)
  end
  position = redis.call('ZRANK', line, place)
  local ahead = position or redis.call('ZCARD', line)
  crowded = ahead >= most - redis.call('ZCARD', held)
end

if crowded and wait == 0 and stays > 0 then
  redis.call('ZADD', line, 'NX', text(now), place)
  redis.call('ZADD', looks, text(now + stays), place)
  redis.call('PEXPIRE', line, 2 * MINUTE / 1000)
  redis.call('PEXPIRE', looks, 2 * MINUTE / 1000)
elseif position then
  redis.call('ZREM', line, place)
  redis.call('ZREM', looks, place)
end
if wait > 0 or crowded then
  return {0, wait, crowded and 1 or 0}
end

redis.call('ZADD', held, text(now + lease), place)
redis.call('PEXPIRE', held, text(math.max(redis.call('PTTL', held), (lease + MINUTE) / 1000)))
if requests > 0 or limit > 0 then
  redis.call('ZADD', calls, text(now), place)
  redis.call('HSET', sizes, place, text(tokens))
  redis.call('HINCRBY', sizes, 'sum', text(tokens))
  redis.call('PEXPIRE', calls, 2 * MINUTE / 1000)
  redis.call('PEXPIRE', sizes, 2 * MINUTE / 1000)
end
return {1, 0, 0}
