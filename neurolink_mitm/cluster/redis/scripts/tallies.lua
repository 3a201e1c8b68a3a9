-- Writes what a replica has counted of each account, if it is not empty, and returns what the others have.
-- KEYS: tallies (hash: id -> JSON), alive (zset: id by last tick)
-- ARGV: id, JSON or '', replicas that are returned at most, bytes of one at most, and of all
-- Returns: JSON of each other replica that is there
own(KEYS[1], 'hash')
if ARGV[2] ~= '' then redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) end
if redis.call('TYPE', KEYS[2]).ok ~= 'zset' then return {} end
local tallies, alive, left = {}, {}, tonumber(ARGV[5])
for _, id in ipairs(redis.call('ZREVRANGE', KEYS[2], 0, tonumber(ARGV[3]) - 1)) do
  alive[id] = true
  local length = redis.call('HSTRLEN', KEYS[1], id)
  if id ~= ARGV[1] and length > 0 and length <= math.min(left, tonumber(ARGV[4])) then
    left = left - length
    table.insert(tallies, redis.call('HGET', KEYS[1], id))
  end
end
for n, id in ipairs(redis.call('HRANDFIELD', KEYS[1], 10)) do -- what replicas that are gone have left
  if not alive[id] then redis.call('HDEL', KEYS[1], id) end
end
return tallies
