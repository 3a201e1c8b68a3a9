-- Stands before each script: the time, and what is done with a key that somebody else has written.
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000 -- seconds of this server's clock

-- Deletes a key of another type, or with more than `most` fields: it is none of ours, and would end the script in an error.
local function own(key, kind, most)
  local is = redis.call('TYPE', key).ok
  if is ~= 'none' and (is ~= kind or (most and redis.call('HLEN', key) > most)) then redis.call('UNLINK', key) end
end

-- Numbers become texts for Redis, which would cut them to integers.
local function text_of(seconds)
  return string.format('%.6f', seconds)
end

