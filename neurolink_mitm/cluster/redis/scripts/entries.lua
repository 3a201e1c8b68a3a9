-- Returns all entries of all kinds.
-- KEYS: since, counter, keys in use (zset: key id by the time it was last used), then a hash a kind: name -> sealed entry
-- ARGV: most entries of a kind, most bytes of all kinds, id of this replica's key, seconds after which a key is out of use
-- Returns: time (text of seconds), since, counter, ids of keys in use, then for each kind its entries as a flat list, or
--   0 if they are too many
local clock = redis.call('TIME')
local now = string.format('%.6f', clock[1] + clock[2] / 1000000)
for n = 1, #KEYS do
  local wanted = n <= 2 and 'string' or n == 3 and 'zset' or 'hash'
  local type = redis.call('TYPE', KEYS[n]).ok
  if type ~= wanted and type ~= 'none' then
    redis.call('DEL', KEYS[n]) -- somebody else's value in our namespace
  end
end
redis.call('SET', KEYS[1], now, 'NX')
local seconds = tonumber(now)
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', seconds - tonumber(ARGV[4]))
redis.call('ZREMRANGEBYSCORE', KEYS[3], seconds + 1, '+inf') -- none of ours
redis.call('ZADD', KEYS[3], now, ARGV[3])
local answer = {now, redis.call('GETRANGE', KEYS[1], 0, 31), redis.call('GETRANGE', KEYS[2], 0, 31), {}}
for _, id in ipairs(redis.call('ZREVRANGE', KEYS[3], 0, 99)) do
  if #id == #ARGV[3] then table.insert(answer[4], id) end
end
local left = tonumber(ARGV[2]) -- an answer that is too long would be none
for n = 4, #KEYS do
  local large = redis.call('HLEN', KEYS[n]) > tonumber(ARGV[1])
  if not large then -- asked second, as it looks at each entry
    local size = redis.pcall('MEMORY', 'USAGE', KEYS[n], 'SAMPLES', 0)
    large = type(size) == 'number' and size > left
    if type(size) == 'number' and not large then left = left - size end
  end
  if large then
    answer[#answer + 1] = 0
  else
    answer[#answer + 1] = redis.call('HGETALL', KEYS[n])
  end
end
return answer
