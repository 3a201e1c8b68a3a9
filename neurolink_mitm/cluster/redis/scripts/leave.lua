-- Notes that a replica is no longer there.
-- KEYS: members (hash: id -> JSON), alive (zset: id by last tick)
-- ARGV: id
-- Returns: 1
if redis.call('TYPE', KEYS[1]).ok == 'hash' then redis.call('HDEL', KEYS[1], ARGV[1]) end
if redis.call('TYPE', KEYS[2]).ok == 'zset' then redis.call('ZREM', KEYS[2], ARGV[1]) end
return 1
