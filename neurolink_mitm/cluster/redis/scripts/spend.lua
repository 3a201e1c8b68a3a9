-- Writes parts of a day's spending where they are newer, and returns those that are new to the replica.
-- KEYS: versions (hash: id of a part -> number), parts (hash: id -> JSON)
-- ARGV: channel, id of the replica, the day, seconds until the keys expire, parts at most, bytes of a part at most,
--   bytes that are returned at most, number of parts to write; of each: id, version, JSON;
--   then of each part that is known: id, version
-- Returns: ids and versions of all parts, flat; ids, versions and JSON of those that are newer, flat
local most, longest, left = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
own(KEYS[1], 'hash', most)
own(KEYS[2], 'hash', most)

local function version(id) -- 0 for what is none
  local text = redis.call('HGET', KEYS[1], id)
  local number = text and #text < 20 and tonumber(text)
  if not number or not (number >= 0 and number < 2 ^ 53) or redis.call('HSTRLEN', KEYS[2], id) == 0 then return 0 end
  return number
end

local at = 9
for _ = 1, tonumber(ARGV[8]) do
  local id, number, part = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  at = at + 3
  if tonumber(number) > version(id) then
    redis.call('HSET', KEYS[1], id, number)
    redis.call('HSET', KEYS[2], id, part)
    if #part <= 4096 then
      redis.call('PUBLISH', ARGV[1], cmsgpack.pack({'spend', ARGV[2], ARGV[3], id, number, part}))
    end
  end
end
redis.call('EXPIRE', KEYS[1], ARGV[4])
redis.call('EXPIRE', KEYS[2], ARGV[4])

local known = {}
for n = at, #ARGV, 2 do known[ARGV[n]] = tonumber(ARGV[n + 1]) end
local versions, newer = {}, {}
for _, id in ipairs(redis.call('HKEYS', KEYS[1])) do
  if #id <= 100 then
    local number = version(id)
    table.insert(versions, id)
    table.insert(versions, string.format('%.0f', number))
    local length = redis.call('HSTRLEN', KEYS[2], id)
    if number > (known[id] or 0) and length <= longest and length <= left then
      left = left - length
      table.insert(newer, id)
      table.insert(newer, string.format('%.0f', number))
      table.insert(newer, redis.call('HGET', KEYS[2], id))
    end
  end
end
return {versions, newer}
