-- Writes where sessions are; of two places of a session, the one used last counts.
-- KEYS: sessions (hash: name -> "milliseconds\nhome[\nlast]"), sessions:written (zset: name by the time of writing)
-- ARGV: channel of news, id of the replica, then of each session: name, place, '1' if others should hear of it at once
-- Returns: 1
own(KEYS[1], 'hash')
own(KEYS[2], 'zset')
-- Each written session gets a score of its own, later than all before it: who reads from the last score on that it has
-- seen misses nothing.
local newest = redis.call('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2]
local score = newest and tonumber(newest) or now
if score < now or score > now + 60 then score = now end -- the clock was set back, or somebody else wrote it
local news = {'sessions', ARGV[2]}
for n = 3, #ARGV, 3 do
  local name, place = ARGV[n], ARGV[n + 1]
  local before = redis.call('HGET', KEYS[1], name)
  local used = before and tonumber(string.match(before, '^(%d+)\n') or 0)
  local mine = tonumber(string.match(place, '^(%d+)\n') or 0)
  if not used or used > now * 1000 + 60000 or mine > used or (mine == used and place > before) then
    score = score + 0.000001
    redis.call('HSET', KEYS[1], name, place)
    redis.call('ZADD', KEYS[2], text_of(score), name)
    if ARGV[n + 2] == '1' then
      table.insert(news, name)
      table.insert(news, place)
    end
  end
end
if #news > 2 then redis.call('PUBLISH', ARGV[1], cmsgpack.pack(news)) end
return 1
