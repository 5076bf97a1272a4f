-- Times are microseconds since the epoch. Read: the record and its version; changes nothing.
local data, sound = record()
if not sound then
    return { CORRUPT, 'record and version do not agree' }
end
return { FOUND, version, data }
