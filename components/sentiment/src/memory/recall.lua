-- Before a text is analysed: the marks that it got before, or whether the model may be asked.
-- Who may ask about a text leaves a '?' in the place of its marks, so that others wait for these.
-- KEYS: what is known of the model; where its marks may be kept, those of the text.
-- ARGV: milliseconds that a call may take; calls that may wait with no success in between; milliseconds to keep this.
-- Gives {'known', <marks>}, {'asked', ''}, {'ask' or 'trial', <dialect>}, or {'leave', '0'}.
local marks = KEYS[2] and redis.call('GET', KEYS[2])
if marks == '?' then
    return {'asked', ''}
end
if marks then
    return {'known', marks}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local state = redis.call('HMGET', KEYS[1],
    'pause_ends', 'trial_ends', 'waiting', 'waiting_ends', 'dialect', 'dialect_ends')
local pause_ends, trial_ends = tonumber(state[1]), tonumber(state[2]) or 0
local waiting, waiting_ends = tonumber(state[3]) or 0, tonumber(state[4]) or 0
local permit = 'ask'
if pause_ends then
    if now < pause_ends or now < trial_ends then
        return {'leave', '0'}
    end
    permit = 'trial'
    redis.call('HSET', KEYS[1], 'trial_ends', now + ARGV[1])
else
    if now >= waiting_ends then
        waiting, waiting_ends = 0, now + ARGV[1]
    end
    if waiting >= tonumber(ARGV[2]) then
        return {'leave', '0'}
    end
    redis.call('HSET', KEYS[1], 'waiting', waiting + 1, 'waiting_ends', waiting_ends)
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
if KEYS[2] then
    redis.call('SET', KEYS[2], '?', 'PX', ARGV[1])
end
if now < (tonumber(state[6]) or 0) then
    return {permit, state[5]}
end
return {permit, '0'}
