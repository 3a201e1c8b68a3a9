-- Returns who is there, and changes nothing: for commands, which are no replica.
-- KEYS: members (hash: id -> JSON), alive (zset: id by last tick)
-- ARGV: seconds after which a replica is gone, replicas that are returned at most, bytes of what one may say of itself
-- Returns: time (text of seconds), members as a flat list of id, JSON and last tick
local gone = tonumber(ARGV[1])
if redis.call('TYPE', KEYS[1]).ok ~= 'hash' or redis.call('TYPE', KEYS[2]).ok ~= 'zset' then
  return {text_of(now), {}}
end
local alive = redis.call('ZREVRANGEBYSCORE', KEYS[2], text_of(now + gone), text_of(now - gone), 'WITHSCORES', 'LIMIT', 0, tonumber(ARGV[2]))
return {text_of(now), members_of(KEYS[1], alive, tonumber(ARGV[3]))}
