-- Times are microseconds since the epoch; ARGV[5] is milliseconds. Acquire: take the lease and read the record.
-- ARGV: id, token, length of the lease, holder, how long to keep an instance that is never written, [event key].
local owner, event = ARGV[2], ARGV[6]
local entry = event and redis.call('HGET', KEYS[3], 'e' .. event)
if not entry and token ~= owner and held() then
    return { DENIED }
end
local data, sound = record()
if not sound then
    return { CORRUPT, 'record and version do not agree' }
end
if entry then
    return consumed(entry, data)
end
if token == owner then
    if ends == 0 then
        return { DENIED }
    end
    -- Writes, so that a WAIT behind it covers the first sending too.
    redis.call('HSET', KEYS[1], 'token', owner)
    return { ACQUIRED, fence, version, data, redis.call('HGET', KEYS[1], 'deleted') }
end
if not known then
    redis.call('HSET', KEYS[1], 'id', ARGV[1], 'version', 0, 'created', whole(now), 'updated', whole(now),
        'serial', whole(now))
end
redis.call('HSET', KEYS[1], 'fence', whole(fence + 1), 'token', owner, 'holder', ARGV[4],
    'granted', whole(now), 'until', whole(now + ARGV[3]))
if version == 0 then
    redis.call('PEXPIRE', KEYS[1], ARGV[5])
    return { ACQUIRED, fence + 1, version, data, redis.call('HGET', KEYS[1], 'deleted') }
end
return { ACQUIRED, fence + 1, version, data, false }
