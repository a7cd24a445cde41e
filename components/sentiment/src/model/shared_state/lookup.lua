-- Looks up a text's cached marks, or asks for a permit to call the model.
--
-- A request that gets a permit stores '?' in the place of the marks. Requests with the same text then wait for
-- these marks instead of calling the model too. The '?' expires when the call can no longer succeed.
--
-- KEYS[1] hash: the model's state
-- KEYS[2] string, optional: the text's cached marks
-- ARGV[1] milliseconds after which a call is considered lost
-- ARGV[2] most calls that may be pending without a success in between
-- ARGV[3] milliseconds to keep the model's state
--
-- Returns {'cached', marks}, {'in_progress', ''}, {'normal' or 'trial', request features}, or {'denied', '0'}.
local marks = KEYS[2] and redis.call('GET', KEYS[2])
if marks == '?' then
    return {'in_progress', ''}
end
if marks then
    return {'cached', marks}
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local state = redis.call('HMGET', KEYS[1],
    'open_until', 'trial_until', 'pending', 'pending_until', 'features', 'features_until')
local open_until, trial_until = tonumber(state[1]), tonumber(state[2]) or 0
local pending, pending_until = tonumber(state[3]) or 0, tonumber(state[4]) or 0
local permit = 'normal'
if open_until then
    -- Open, or half-open with a trial under way.
    if now < open_until or now < trial_until then
        return {'denied', '0'}
    end
    permit = 'trial'
    redis.call('HSET', KEYS[1], 'trial_until', now + ARGV[1])
else
    if now >= pending_until then
        pending, pending_until = 0, now + ARGV[1]
    end
    if pending >= tonumber(ARGV[2]) then
        return {'denied', '0'}
    end
    redis.call('HSET', KEYS[1], 'pending', pending + 1, 'pending_until', pending_until)
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
if KEYS[2] then
    redis.call('SET', KEYS[2], '?', 'PX', ARGV[1])
end
if now < (tonumber(state[6]) or 0) then
    return {permit, state[5]}
end
return {permit, '0'}
