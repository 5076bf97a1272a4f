-- Times are microseconds since the epoch, as integers (exact in a Lua number until the year 2255).
-- The head of every script: reads the clock and the lease of one instance, and checks that it is this instance.
-- KEYS[1]: hash of the instance; KEYS[2]: its record; KEYS[3]: its journal. ARGV[1]: its id.
-- Every script answers with a list that opens with one of these; nothing is written before everything was read, so
-- that an error never leaves half an operation behind.
local FOUND, ACQUIRED, DENIED, CONSUMED, COMMITTED, LOST = 1, 2, 3, 4, 5, 6
local CONFLICT, RENEWED, RELEASED, DELETED, CORRUPT, UNSTAGED = 7, 8, 9, 10, 11, 12

local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local row = redis.call('HMGET', KEYS[1], 'id', 'version', 'fence', 'token', 'granted', 'until')
local known = row[1]
local version, fence, token, granted, ends = 0, 0, '', 0, 0
if known then
    version, fence, granted, ends = tonumber(row[2]), tonumber(row[3]), tonumber(row[5]), tonumber(row[6])
    token = row[4]
    if known ~= ARGV[1] then
        return { CORRUPT, 'another id has the same key' }
    end
    if not (version and fence and token and granted and ends) then
        return { CORRUPT, 'the hash of the instance lacks a field' }
    end
elseif row[2] or row[3] or row[4] then
    return { CORRUPT, 'the hash of the instance lacks its id' }
end

-- A number as a whole decimal: Lua's own conversion rounds to 14 digits.
local function whole(number)
    return string.format('%.0f', number)
end

-- Whether a lease runs; over also when the clock was set back before the grant.
local function held()
    return granted <= now and now < ends
end

-- Whether this token was granted last and has not been given up; its time may have passed.
local function has_right(owner)
    return token == owner and ends ~= 0
end

-- The record, and whether it is there exactly when the version says so.
local function record()
    local data = redis.call('GET', KEYS[2])
    return data, (version > 0) == (data ~= false)
end

-- The answer for a consumed event: its journal entry `version:token:digest:at`, and the events it produced.
local function consumed(entry, data)
    return { CONSUMED, fence, version, data, entry, redis.call('HGET', KEYS[3], 'b' .. string.match(entry, '^%d*')) }
end

