-- Times are microseconds since the epoch; ARGV[2] is milliseconds. Put: keep a whole instance of another store.
-- KEYS[4]: earlier records. ARGV: id, how long to keep it ("" = for ever), "1" when there is a record, the record,
-- how many arguments each have the hash of the instance, the journal and the earlier records; then these, names and
-- values in turns.
local _, sound = record()
if not sound then
    return { CORRUPT, 'record and version do not agree' }
end
if known then
    return { DENIED }
end
local from = 8
for n, key in ipairs({ KEYS[1], KEYS[3], KEYS[4] }) do
    local after = from + ARGV[4 + n]
    for field = from, after - 1, 2 do
        redis.call('HSET', key, ARGV[field], ARGV[field + 1])
    end
    from = after
end
-- Lists go by the order in which instances came here, not by when they were made elsewhere.
redis.call('HSET', KEYS[1], 'serial', whole(now))
if ARGV[3] == '1' then
    redis.call('SET', KEYS[2], ARGV[4])
end
if ARGV[2] ~= '' then
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return { COMMITTED, 0 }
