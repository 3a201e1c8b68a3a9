-- Once a second, of each replica: says that it is there, and returns who else is.
-- KEYS: members (hash: id -> JSON), alive (zset: id by last tick), epoch
-- ARGV: id, JSON of this replica, seconds after which a replica is gone, a random epoch for a Redis that has none
-- Returns: time (text of seconds), epoch, members as a flat list of id and JSON
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], now, ARGV[1])
local gone = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now - tonumber(ARGV[3]))
for _, id in ipairs(gone) do
  redis.call('ZREM', KEYS[2], id)
  redis.call('HDEL', KEYS[1], id)
end
redis.call('SET', KEYS[3], ARGV[4], 'NX')
return {string.format('%.6f', now), redis.call('GET', KEYS[3]), redis.call('HGETALL', KEYS[1])}
