-- Releases a lock, if it is still the holder's.
-- KEYS: the lock
-- ARGV: the holder's own random value
-- Returns: 1 if it was released, else 0
if redis.call('TYPE', KEYS[1]).ok == 'string' and redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
