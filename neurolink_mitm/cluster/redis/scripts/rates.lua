-- Adds to the theoretical arrival times (GCRA) of rate limits what a replica has sent, and returns them.
-- KEYS: one string a limit: the arrival time, seconds of this server's clock
-- ARGV: channel, id of the replica, when it asked (seconds of this server's clock; 0: unknown); of each limit: name,
--   interval in seconds, seconds that its arrival time may be ahead at most, requests that were sent since the last time
--   (negative: given back)
-- Returns: 1, or 0 if it is too late to add anything: the replica has given up, and adds it again; of each limit the
--   seconds that its arrival time is ahead, as text
local asked = tonumber(ARGV[3])
local late = asked > 0 and math.abs(now - asked) > 0.6
local answer, news = {late and 0 or 1}, {'rates', ARGV[2]}
for n, key in ipairs(KEYS) do
  local at = 4 * n
  local interval, most, sent = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  if late then sent = 0 end
  local is, before = redis.call('TYPE', key).ok, now
  if is == 'string' then
    before = tonumber(redis.call('GETRANGE', key, 0, 30)) or 0 / 0
  elseif is ~= 'none' then
    redis.call('DEL', key)
    before = 0 / 0
  end
  local sound = before >= 0 and before <= now + most
  if not sound then before = now + most end -- none of ours, or the clock was set: fail towards less
  local arrival = math.max(before, now)
  if sent ~= 0 or not sound then
    arrival = math.max(now, math.min(arrival + sent * interval, now + most))
    redis.call('SET', key, text_of(arrival), 'PX', math.ceil((arrival - now) * 1000) + 1000)
  end
  if sent ~= 0 then
    table.insert(news, ARGV[at])
    table.insert(news, text_of(arrival))
  end
  table.insert(answer, text_of(arrival - now))
end
if #news > 2 then
  redis.call('PUBLISH', ARGV[1], cmsgpack.pack(news))
end
return answer
