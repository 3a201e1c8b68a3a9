-- Notes that a replica is there, publishes its beat, and returns who else is there: once a second.
-- KEYS: members (hash: id -> JSON), alive (zset: id by last tick), epoch
-- ARGV: id, JSON of this replica, seconds after which a replica is gone, a random epoch for a Redis that has none,
--   replicas that are returned at most, bytes of what one may say of itself, channel of news, beat
-- Returns: time (text of seconds), epoch with the run of the server, members as a flat list of id, JSON and last tick
own(KEYS[1], 'hash')
own(KEYS[2], 'zset')
own(KEYS[3], 'string')
local gone, most = tonumber(ARGV[3]), tonumber(ARGV[5])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], text_of(now), ARGV[1])
local function remove(first, last)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], first, last, 'LIMIT', 0, most)) do
    redis.call('ZREM', KEYS[2], id)
    redis.call('HDEL', KEYS[1], id)
  end
end
remove('-inf', text_of(now - gone))
remove('(' .. text_of(now + gone), '+inf')
redis.call('SET', KEYS[3], ARGV[4], 'NX')
local alive = redis.call('ZREVRANGE', KEYS[2], 0, most - 1, 'WITHSCORES')
local members = members_of(KEYS[1], alive, tonumber(ARGV[6]))
-- a server that was started again may have forgotten the last seconds, and kept the epoch
local info = redis.pcall('INFO', 'server')
local run = type(info) == 'string' and string.match(info, 'run_id:(%x+)') or ''
redis.call('PUBLISH', ARGV[7], cmsgpack.pack({'beat', ARGV[1], ARGV[8]}))
return {text_of(now), redis.call('GETRANGE', KEYS[3], 0, 199) .. '/' .. run, members}
