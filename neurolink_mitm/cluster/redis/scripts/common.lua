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

-- Returns id, JSON and last tick of replicas as a flat list. `alive` has ids and ticks; what is longer than `longest` bytes is left out.
local function members_of(key, alive, longest)
  local members = {}
  for n = 1, #alive, 2 do
    local length = redis.call('HSTRLEN', key, alive[n])
    if length > 0 and length <= longest and #alive[n] <= 200 then
      table.insert(members, alive[n])
      table.insert(members, redis.call('HGET', key, alive[n]))
      table.insert(members, alive[n + 1])
    end
  end
  return members
end
