-- Times are microseconds since the epoch. Commit: write record and journal entry, and end the lease if asked.
-- KEYS[4]: earlier records (a hash by version), or the record's key again when none are kept; KEYS[5]: the record,
-- where it was sent ahead. ARGV: id, token, expected version, digest, "1" to release, labels, how many bodies the
-- journal keeps, how many earlier records are kept, data ("" when sent ahead), [event key, [produced events]].
local owner, expected, release, event = ARGV[2], tonumber(ARGV[3]), ARGV[5] == '1', ARGV[10]
local made = whole(expected + 1)
local field = event and 'e' .. event or 'v' .. made
local entry = redis.call('HGET', KEYS[3], field)

local mine = made .. ':' .. owner .. ':' .. ARGV[4] .. ':'
if entry and string.sub(entry, 1, #mine) == mine then
    -- Writes, so that a WAIT behind it covers the first sending too.
    redis.call('HSET', KEYS[1], 'until', (release and has_right(owner)) and '0' or whole(ends))
    return { COMMITTED, expected + 1 }
end
if not has_right(owner) then
    return { LOST }
end
if event and entry then
    return consumed(entry, false)
end
if version ~= expected then
    return { CONFLICT, version }
end
local staged = KEYS[5]
if staged and redis.call('EXISTS', staged) == 0 then
    return { UNSTAGED }
end
local kept = tonumber(ARGV[8])
local before = kept > 0 and version > 0 and redis.call('GET', KEYS[2])

if before then
    redis.call('HSET', KEYS[4], whole(version), before)
    -- One, or as many as there are more since the option was lowered.
    local oldest = version - kept
    while redis.call('HDEL', KEYS[4], whole(oldest)) == 1 do
        oldest = oldest - 1
    end
end
if staged then
    redis.call('RENAME', staged, KEYS[2])
    redis.call('PERSIST', KEYS[2])
else
    redis.call('SET', KEYS[2], ARGV[9])
end
redis.call('HSET', KEYS[1], 'version', made, 'until', release and '0' or whole(ends), 'updated', whole(now),
    'labels', ARGV[6])
if version == 0 then
    redis.call('HDEL', KEYS[1], 'deleted')
    redis.call('PERSIST', KEYS[1])
end
if ARGV[11] then
    redis.call('HSET', KEYS[3], field, mine .. whole(now), 'b' .. made, ARGV[11])
else
    redis.call('HSET', KEYS[3], field, mine .. whole(now))
end
-- An older step keeps its key and loses its events; an older write without a step is forgotten.
local old = expected + 1 - ARGV[7]
if old > 0 then
    redis.call('HDEL', KEYS[3], 'b' .. whole(old), 'v' .. whole(old))
end
return { COMMITTED, expected + 1 }
