"""The scripts that move messages between a queue's lists, `unacked` with its index, and the dead-letter list.

FETCH, MOVE and TOUCH begin with a write that changes nothing: a full server completes a script whose first write takes
no memory. A key of a wrong type ends the script before anything has moved.
"""

# KEYS: unacked, index, then the lists to take from in their order. ARGV: maximum number, prefix of the tags, now in s,
# then of each list the name of its queue as JSON. Returns how many each list gave, and the messages.
# Messages are registered before they leave the queue, so that an error in between loses none. Tags sort by age.
FETCH = """
redis.call('LTRIM', KEYS[3], 0, -1)
local counts, taken, entries, times = {}, {}, {}, {}
local room = tonumber(ARGV[1])
for k = 3, #KEYS do
  local messages = room > #taken and redis.call('LRANGE', KEYS[k], #taken - room, -1) or {}
  for i = #messages, 1, -1 do
    taken[#taken + 1] = messages[i]
    local tag = ARGV[2] .. string.format('%03d', #taken)
    entries[#entries + 1], entries[#entries + 2] = tag, '[' .. messages[i] .. ',"",' .. ARGV[k + 1] .. ']'
    times[#times + 1], times[#times + 2] = ARGV[3], tag
  end
  counts[#counts + 1] = #messages
end
if #taken > 0 then
  redis.call('HSET', KEYS[1], unpack(entries))
  redis.call('ZADD', KEYS[2], unpack(times))
  for k = 3, #KEYS do
    if counts[k - 2] > 0 then redis.call('LTRIM', KEYS[k], 0, -counts[k - 2] - 1) end
  end
end
return {counts, taken}
"""

# KEYS: unacked. ARGV: tags.
READ = "return redis.call('HMGET', KEYS[1], unpack(ARGV))"

# KEYS: index. ARGV: now in s, then tags. A tag that is no longer there was acknowledged, or restored by another client.
TOUCH = """
redis.call('ZREM', KEYS[1], '')
local times = {}
for i = 2, #ARGV do times[#times + 1], times[#times + 2] = ARGV[1], ARGV[i] end
return redis.call('ZADD', KEYS[1], 'XX', unpack(times))
"""

# KEYS: unacked, index, destination. ARGV: push command, length to keep or 0, then tag and message of each.
# A message that is no longer in `unacked` was acknowledged, or moved by another client.
MOVE = """
redis.call('LTRIM', KEYS[3], 0, -1)
for i = 3, #ARGV, 2 do
  if redis.call('HDEL', KEYS[1], ARGV[i]) == 1 then redis.call(ARGV[1], KEYS[3], ARGV[i + 1]) end
  redis.call('ZREM', KEYS[2], ARGV[i])
end
if ARGV[2] ~= '0' then redis.call('LTRIM', KEYS[3], 0, ARGV[2] - 1) end
"""

# KEYS: unacked, index. ARGV: tags.
ACKNOWLEDGE = """
redis.call('ZREM', KEYS[2], unpack(ARGV))
redis.call('HDEL', KEYS[1], unpack(ARGV))
"""
