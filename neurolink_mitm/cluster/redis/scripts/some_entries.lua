-- Returns named entries of a kind that has too many to be read whole.
-- KEYS: the kind's hash
-- ARGV: most bytes of an entry, names
-- Returns: a flat list of names and entries; one that is missing or too long is left out
local answer = {}
for n = 2, #ARGV do
  local length = redis.call('HSTRLEN', KEYS[1], ARGV[n])
  if length > 0 and length <= tonumber(ARGV[1]) then
    answer[#answer + 1] = ARGV[n]
    answer[#answer + 1] = redis.call('HGET', KEYS[1], ARGV[n])
  end
end
return answer
