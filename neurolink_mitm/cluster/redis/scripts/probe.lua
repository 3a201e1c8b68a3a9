-- Gives one replica the right to probe an account that has cooled down, or prolongs it; all of the scopes or none.
-- KEYS: cooldowns (hash, see cooldowns.lua), channel of news, then a key for each cooldown
-- ARGV: kind of the news, id of the replica, milliseconds of the right, milliseconds that a cooldown may still last,
--   then the cooldowns
-- Returns: {'yours'}; {'cooling', cooldown, its state in msgpack}; or {'theirs', milliseconds for which it is denied}
local id, lease, ahead = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]) / 1000

local function ends(text)
  local last = 0
  local ok, state = pcall(cmsgpack.unpack, text)
  if not ok or type(state) ~= 'table' or type(state[2]) ~= 'table' then return 0 end
  for i = 1, math.min(#state[2], 16) do
    local window = state[2][i]
    local at = type(window) == 'table' and type(window[3]) == 'number' and window[3] or 0
    if at > last and at <= now + 602 then last = at end
  end
  return last
end

local is_hash = redis.call('TYPE', KEYS[1]).ok == 'hash'
for i = 5, #ARGV do
  local text = is_hash and redis.call('HGET', KEYS[1], ARGV[i])
  if text and #text <= 8192 and ends(text) > now + ahead then return {'cooling', ARGV[i], text} end
end
for i = 3, #KEYS do
  if redis.call('TYPE', KEYS[i]).ok == 'string' then
    local left = redis.call('PTTL', KEYS[i])
    if left > 0 and left <= lease and redis.call('GETRANGE', KEYS[i], 0, 300) ~= id then
      return {'theirs', left}
    end
  end
end
local news = {ARGV[1], id, 'taken', lease}
for i = 3, #KEYS do
  redis.call('SET', KEYS[i], id, 'PX', lease)
  news[#news + 1] = ARGV[i + 2]
end
redis.call('PUBLISH', KEYS[2], cmsgpack.pack(news))
return {'yours'}
