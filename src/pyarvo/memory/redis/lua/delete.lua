-- Times are microseconds since the epoch; ARGV[3] is milliseconds. Delete: leave a tombstone, which expires.
-- KEYS[4]: earlier records. ARGV: id, "1" to delete also while somebody holds the lease, life of the tombstone.
local leased = held()
if version == 0 and ends == 0 then
    return { DELETED, 0 }
end
if leased and ARGV[2] ~= '1' then
    return { DENIED }
end
redis.call('UNLINK', KEYS[2], KEYS[3], KEYS[4])
redis.call('HSET', KEYS[1], 'version', 0, 'fence', whole(fence + 1), 'token', '', 'holder', '', 'granted', 0,
    'until', 0, 'deleted', whole(now), 'note', '', 'updated', whole(now))
redis.call('HDEL', KEYS[1], 'labels')
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return { DELETED, version > 0 and 1 or 0 }
