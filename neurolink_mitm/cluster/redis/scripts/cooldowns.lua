-- Merges what a replica knows of cooldowns into what all know, and publishes what is new by that.
-- The rules are those of core/cluster/cooldowns.py: change both.
-- KEYS: cooldowns (hash: cooldown -> state in msgpack), channel of news
-- ARGV: kind of the news, id of the replica, then pairs of a cooldown and a state; an empty state only tidies up
-- Returns: pairs of a cooldown and its merged state; what Redis holds beside states is overwritten or deleted
local SAME, SLACK, LIFETIME, HEALED_FOR = 0.001, 2, 3600, 7200
local MOST_WINDOWS, MOST_FIELDS, LONGEST_FIELD, LONGEST_STATE = 4, 10000, 1000, 8192
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000

local function is_within(x, low, high)
  return type(x) == 'number' and x >= low and x <= high
end

local function is_sound(w)
  if type(w) ~= 'table' or not is_within(w[2], 0, 10000) or w[2] % 1 ~= 0 then return false end
  local cap = w[2] > 0 and 600 or 300
  return is_within(w[1], 0, now + SLACK) and w[1] > 0
    and is_within(w[3], now - LIFETIME, now + cap + SLACK) and w[3] > now - LIFETIME
    and type(w[4]) == 'boolean' and is_within(w[5], 0, 1e11) and w[5] < 1e11
    and type(w[6]) == 'string' and type(w[7]) == 'string'
end

local function later(a, b) -- in the order of began, level, until, whole, resets_at, reason, by
  for i = 1, 7 do
    local x, y = a[i], b[i]
    if i == 4 then x, y = x and 1 or 0, y and 1 or 0 end
    if x ~= y then return x > y end
  end
  return false
end

local function covers(a, b)
  return a[1] >= b[1] and a[2] >= b[2] and a[3] >= b[3] and (a[4] or not b[4]) and later(a, b)
end

local function same(a, b)
  return not later(a, b) and not later(b, a)
end

local function read(text)
  if type(text) ~= 'string' or #text > LONGEST_STATE then return 0, {} end
  local ok, state = pcall(cmsgpack.unpack, text)
  if not ok or type(state) ~= 'table' then return 0, {} end
  local healed = is_within(state[1], 0, now + SLACK) and state[1] or 0
  local windows = {}
  if type(state[2]) == 'table' then
    for i = 1, math.min(#state[2], 4 * MOST_WINDOWS) do
      if is_sound(state[2][i]) then windows[#windows + 1] = state[2][i] end
    end
  end
  return healed, windows
end

local function merge(one, other)
  local healed, windows = read(one)
  local healed_too, more = read(other)
  healed = math.max(healed, healed_too)
  for _, w in ipairs(more) do windows[#windows + 1] = w end
  local alive = {}
  for i, w in ipairs(windows) do
    local keep = w[1] > healed + SAME
    for j, each in ipairs(windows) do
      if covers(each, w) or (j < i and same(each, w)) then keep = false end
    end
    if keep then alive[#alive + 1] = {w[1], w[2], w[3], w[4], w[5], w[6], w[7]} end
  end
  table.sort(alive, function(a, b) return later(b, a) end)
  while #alive > MOST_WINDOWS do table.remove(alive, 1) end
  return {healed, alive}
end

if redis.call('TYPE', KEYS[1]).ok ~= 'hash' or redis.call('HLEN', KEYS[1]) >= MOST_FIELDS then redis.call('UNLINK', KEYS[1]) end
local fields, news, answer = redis.call('HLEN', KEYS[1]), {ARGV[1], ARGV[2]}, {}
for i = 3, #ARGV - 1, 2 do
  local field = ARGV[i]
  local before = redis.call('HGET', KEYS[1], field)
  local state = merge(before, ARGV[i + 1])
  local text = cmsgpack.pack(state)
  if #state[2] == 0 and state[1] < now - HEALED_FOR then
    redis.call('HDEL', KEYS[1], field)
    if state[1] > 0 and before ~= false then news[#news + 1] = {field, state} end
  elseif text ~= before and #field <= LONGEST_FIELD and #text <= LONGEST_STATE
      and (before or fields < MOST_FIELDS) then
    if not before then fields = fields + 1 end
    redis.call('HSET', KEYS[1], field, text)
    news[#news + 1] = {field, state}
  end
  answer[#answer + 1] = field
  answer[#answer + 1] = text
end
if #news > 2 then
  redis.call('EXPIRE', KEYS[1], 86400)
  redis.call('PUBLISH', KEYS[2], cmsgpack.pack(news))
end
return answer
