-- Takes a lock, or renews it.
-- KEYS: the lock
-- ARGV: the holder's own random value, lease in ms
-- Returns: 1 if it is held by that value now, else 0
own(KEYS[1], 'string')
local holder = redis.call('GETRANGE', KEYS[1], 0, 99)
if holder == '' or holder == ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return 1
end
local left = redis.call('PTTL', KEYS[1])
if left < 0 or left > tonumber(ARGV[2]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[2]) -- it was set by none of us
end
return 0
