-- Times are microseconds since the epoch. Release: end the lease and every right of its token. ARGV: id, token.
if token ~= ARGV[2] then
    return { RELEASED, 0 }
end
redis.call('HSET', KEYS[1], 'until', '0')
return { RELEASED, 1 }
