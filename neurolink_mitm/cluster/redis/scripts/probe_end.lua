-- Gives back rights to probe, those that are still this replica's.
-- KEYS: channel of news, then a key for each cooldown
-- ARGV: kind of the news, id of the replica, then the cooldowns
-- Returns: how many were given back
local news = {ARGV[1], ARGV[2], 'free', 0}
for i = 2, #KEYS do
  if redis.call('TYPE', KEYS[i]).ok == 'string' and redis.call('GETRANGE', KEYS[i], 0, 300) == ARGV[2] then
    redis.call('DEL', KEYS[i])
    news[#news + 1] = ARGV[i + 1]
  end
end
if #news > 4 then redis.call('PUBLISH', KEYS[1], cmsgpack.pack(news)) end
return #news - 4
