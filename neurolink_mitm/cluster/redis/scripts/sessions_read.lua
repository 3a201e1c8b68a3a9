-- Returns the sessions written after a score, and removes some of those that nobody has used for long.
-- KEYS: sessions (hash: name -> place), sessions:written (zset: name by the time of writing)
-- ARGV: score, sessions that are returned at most, seconds of a session's life, sessions that there are at most,
--   bytes of a place at most
-- Returns: time (text of seconds), last score that was looked at ('' for none), flat list of name and place
own(KEYS[1], 'hash')
own(KEYS[2], 'zset')
local most = tonumber(ARGV[2])
local function remove(names)
  if #names > 0 then
    redis.call('ZREM', KEYS[2], unpack(names))
    redis.call('HDEL', KEYS[1], unpack(names))
  end
end
remove(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', text_of(now - tonumber(ARGV[3])), 'LIMIT', 0, most))
remove(redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. text_of(now + 60), '+inf', 'LIMIT', 0, most))
local over = redis.call('ZCARD', KEYS[2]) - tonumber(ARGV[4])
if over > 0 then remove(redis.call('ZRANGE', KEYS[2], 0, math.min(over, most) - 1)) end
local written = redis.call('ZRANGEBYSCORE', KEYS[2], ARGV[1], '+inf', 'WITHSCORES', 'LIMIT', 0, most)
local sessions, last = {}, ''
for n = 1, #written, 2 do
  last = written[n + 1]
  if redis.call('HSTRLEN', KEYS[1], written[n]) <= tonumber(ARGV[5]) and #written[n] <= 32 then
    local place = redis.call('HGET', KEYS[1], written[n])
    if place then
      table.insert(sessions, written[n])
      table.insert(sessions, place)
    end
  end
end
return {text_of(now), last, sessions}
