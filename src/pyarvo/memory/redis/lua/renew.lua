-- Times are microseconds since the epoch; ARGV[4] is milliseconds. Renew: extend the lease, never shorten it.
-- ARGV: id, token, length of the lease from now, how long to keep an instance that is never written.
if not has_right(ARGV[2]) then
    return { LOST }
end
local later = now + ARGV[3]
if granted <= now then -- else the clock was set back: the old end means nothing any more
    later = math.max(ends, later)
end
redis.call('HSET', KEYS[1], 'granted', whole(now), 'until', whole(later))
if version == 0 then
    redis.call('PEXPIRE', KEYS[1], ARGV[4])
end
return { RENEWED, whole(later) }
