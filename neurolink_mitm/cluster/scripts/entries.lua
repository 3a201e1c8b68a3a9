-- Returns all entries of all kinds.
-- KEYS: since, counter, then a hash a kind: name -> sealed entry
-- ARGV: most entries of a kind, most bytes of a kind
-- Returns: time (text of seconds), since, counter, then for each kind its entries as a flat list, or 0 if they are too many
local clock = redis.call('TIME')
local now = string.format('%.6f', clock[1] + clock[2] / 1000000)
for n = 1, #KEYS do
  local wanted = n <= 2 and 'string' or 'hash'
  local type = redis.call('TYPE', KEYS[n]).ok
  if type ~= wanted and type ~= 'none' then
    redis.call('DEL', KEYS[n]) -- somebody else's value in our namespace
  end
end
redis.call('SET', KEYS[1], now, 'NX')
local answer = {now, string.sub(redis.call('GET', KEYS[1]), 1, 32), string.sub(redis.call('GET', KEYS[2]) or '', 1, 32)}
for n = 3, #KEYS do
  local large = redis.call('HLEN', KEYS[n]) > tonumber(ARGV[1])
  if not large then -- asked second, as it looks at each entry
    local size = redis.pcall('MEMORY', 'USAGE', KEYS[n], 'SAMPLES', 0)
    large = type(size) == 'number' and size > tonumber(ARGV[2])
  end
  if large then
    answer[#answer + 1] = 0
  else
    answer[#answer + 1] = redis.call('HGETALL', KEYS[n])
  end
end
return answer
