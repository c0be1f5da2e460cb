-- Notes the true number of a call's tokens. KEYS: the tokens of the last minute's calls, and their sum. ARGV: the place;
-- its tokens.
local sizes, place, tokens = KEYS[1], ARGV[1], ARGV[2]
local before = redis.call('HGET', sizes, place)
if before then
  redis.call('HSET', sizes, place, tokens)
  redis.call('HINCRBY', sizes, 'sum', string.format('%.0f', tokens - before))
end
