-- Holds places for another lease, whether or not theirs has ended. KEYS: the places held by the end of their lease.
-- ARGV: the lease in microseconds; the time in microseconds, empty for the server's own; the places.
local held, lease, now = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
for i = 3, #ARGV do
  redis.call('ZADD', held, string.format('%.0f', now + lease), ARGV[i])
end
redis.call('PEXPIRE', held, string.format('%.0f', math.max(redis.call('PTTL', held), lease / 1000 + 60000)))
