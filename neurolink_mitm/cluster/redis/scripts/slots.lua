-- Renews the lease of a replica on slots of accounts, with as many as are free of those it wants.
-- KEYS: one hash an account: id of a replica -> "slots, end of the lease, waiting since (0: not)", as text
-- ARGV: channel, id of the replica, when it asked (seconds of this server's clock; 0: unknown), seconds of a lease; of
--   each account: name, limit, slots in use, slots wanted, 1 if a request waits for one
-- Returns: nothing if it is too late: the replica has given up, and asks again; else of each account how many slots the
--   replica has, and how many others wait
local MOST = 1000 -- replicas
local id, asked, lease = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
if asked > 0 and math.abs(now - asked) > 0.6 then return {} end

local function entry(text) -- nil for what is none of ours
  local slots, ends, since = text:match('^(%d+) (%d+%.?%d*) (%d+%.?%d*)$')
  slots, ends, since = tonumber(slots), tonumber(ends), tonumber(since)
  if not since or #text > 80 or ends > now + 2 * lease or since > now + lease then return nil end
  return slots, ends, since
end

local function renew(key, limit, used, wanted, waits)
  own(key, 'hash', MOST)
  local taken, queue, own, own_since = 0, {}, 0, 0
  local all = redis.call('HGETALL', key)
  for n = 1, #all, 2 do
    local slots, ends, since = entry(all[n + 1])
    if not slots or ends <= now then
      redis.call('HDEL', key, all[n])
    elseif all[n] == id then
      own, own_since = slots, since
    else
      taken = taken + math.min(slots, limit)
      if since > 0 then table.insert(queue, since) end
    end
  end
  local since = 0
  if waits then since = own_since > 0 and own_since or now end
  if #queue > 0 then wanted = waits and used + 1 or used end
  local free = limit - taken
  for _, before in ipairs(queue) do
    if since == 0 or before < since then free = free - 1 end
  end
  local slots = math.max(used, math.min(wanted, free))
  local is_new = since > 0 and own_since == 0
  if slots > used then since = 0 end
  redis.call('HSET', key, id, string.format('%d %.6f %.6f', slots, now + lease, since))
  redis.call('PEXPIRE', key, math.ceil(lease * 2000))
  return slots, #queue, (is_new and since > 0) or (slots < own and #queue > 0)
end

local answer, news = {}, {'slots', id}
for n, key in ipairs(KEYS) do
  local at = 5 * n
  local slots, waiting, is_news = renew(
    key, tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]), ARGV[at + 4] == '1')
  table.insert(answer, slots)
  table.insert(answer, waiting)
  if is_news then table.insert(news, ARGV[at]) end
end
if #news > 2 then
  redis.call('PUBLISH', ARGV[1], cmsgpack.pack(news))
end
return answer
