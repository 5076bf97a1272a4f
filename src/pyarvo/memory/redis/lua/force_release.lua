-- Times are microseconds since the epoch. Release by force: take the lease from whoever has it. ARGV: id, reason.
if ends == 0 or fence == 0 then
    return { RELEASED, 0 }
end
redis.call('HSET', KEYS[1], 'fence', whole(fence + 1), 'token', '', 'holder', '', 'until', 0, 'note', ARGV[2])
return { RELEASED, 1 }
