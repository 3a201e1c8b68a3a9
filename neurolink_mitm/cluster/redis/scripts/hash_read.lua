-- Returns a hash as a flat list of fields and values; what is too large to be ours is deleted.
-- KEYS: the hash
local MOST_FIELDS, MOST_BYTES, LONGEST_FIELD, LONGEST_VALUE = 10000, 3000000, 1000, 8192
if redis.call('TYPE', KEYS[1]).ok ~= 'hash' then return {} end
local large = redis.call('HLEN', KEYS[1]) >= MOST_FIELDS
if not large then -- asked second, as it looks at each field
  local size = redis.pcall('MEMORY', 'USAGE', KEYS[1], 'SAMPLES', 0)
  large = type(size) == 'number' and size > MOST_BYTES
end
if large then
  redis.call('UNLINK', KEYS[1]) -- not ours: replicas write no more than that, and write it again
  return {}
end
local all, answer = redis.call('HGETALL', KEYS[1]), {}
for i = 1, #all, 2 do
  if #all[i] > LONGEST_FIELD or #all[i + 1] > LONGEST_VALUE then
    redis.call('HDEL', KEYS[1], all[i])
  else
    answer[#answer + 1] = all[i]
    answer[#answer + 1] = all[i + 1]
  end
end
return answer
