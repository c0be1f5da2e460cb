-- Forgets a call that was not made, and who waits for its place. KEYS: as in take.lua. ARGV: the place.
local calls, sizes, held, line, looks, place = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], ARGV[1]
redis.call('ZREM', line, place)
redis.call('ZREM', looks, place)
redis.call('ZREM', held, place)
redis.call('ZREM', calls, place)
local tokens = redis.call('HGET', sizes, place)
if tokens then
  redis.call('HDEL', sizes, place)
  redis.call('HINCRBY', sizes, 'sum', string.format('%.0f', 0 - tokens))
end
