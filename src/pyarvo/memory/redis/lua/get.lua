-- Times are microseconds since the epoch. Get: everything about one instance, and the clock; changes nothing.
local data, sound = record()
if not sound then
    return { CORRUPT, 'record and version do not agree' }
end
if not known then
    return { FOUND }
end
return { FOUND, whole(now), data, redis.call('HGETALL', KEYS[1]) }
