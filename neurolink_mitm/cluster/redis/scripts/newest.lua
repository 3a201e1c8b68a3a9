-- Writes values that are newer than those there, and publishes them.
-- KEYS: hash (field -> time of the value and the value, in msgpack), channel of news
-- ARGV: kind of the news, id of the replica, then triples of a field, the seconds since the epoch of its value, and the value
-- Returns: how many were newer
local SLACK, MOST_FIELDS, LONGEST_FIELD, LONGEST_VALUE, LIFETIME = 2, 10000, 1000, 8000, 691200
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000

local function time_of(text)
  if not text or #text > 8192 then return 0 end
  local ok, value = pcall(cmsgpack.unpack, text)
  local at = ok and type(value) == 'table' and value[1]
  if type(at) == 'number' and at > 0 and at <= now + SLACK then return at end
  return 0
end

if redis.call('TYPE', KEYS[1]).ok ~= 'hash' or redis.call('HLEN', KEYS[1]) >= MOST_FIELDS then redis.call('UNLINK', KEYS[1]) end
local fields, news = redis.call('HLEN', KEYS[1]), {ARGV[1], ARGV[2]}
for i = 3, #ARGV - 2, 3 do
  local field, at, value = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2]
  local before = redis.call('HGET', KEYS[1], field)
  if at and at > 0 and at <= now + SLACK and at > time_of(before) and (before or fields < MOST_FIELDS)
      and #field <= LONGEST_FIELD and #value <= LONGEST_VALUE then
    if not before then fields = fields + 1 end
    redis.call('HSET', KEYS[1], field, cmsgpack.pack({at, value}))
    news[#news + 1] = {field, {at, value}}
  end
end
if #news > 2 then
  redis.call('EXPIRE', KEYS[1], LIFETIME)
  redis.call('PUBLISH', KEYS[2], cmsgpack.pack(news))
end
return #news - 2
