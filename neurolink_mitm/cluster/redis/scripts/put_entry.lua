-- Replaces an entry if it is still what was read, and tells the other replicas.
-- KEYS: the kind's hash, counter
-- ARGV: name, SHA-1 of the entry that was read (empty: none), new entry (empty: remove it), channel, replica, kind,
--   most bytes of an entry: a longer one was not written by a replica, and its digest would take long
-- Returns: 1, or 0 if the entry is another by now
own(KEYS[1], 'hash')
own(KEYS[2], 'string')
if redis.call('HSTRLEN', KEYS[1], ARGV[1]) > tonumber(ARGV[7]) then
  redis.call('HDEL', KEYS[1], ARGV[1])
end
local current = redis.call('HGET', KEYS[1], ARGV[1])
if (current and redis.sha1hex(current) or '') ~= ARGV[2] then
  return 0
end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
end
redis.call('SET', KEYS[2], clock[1] .. '.' .. clock[2] .. '/' .. ARGV[5])
redis.call('PUBLISH', ARGV[4], cmsgpack.pack({'logins', ARGV[5], ARGV[6]}))
return 1
