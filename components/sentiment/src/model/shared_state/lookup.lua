-- Looks up a text's cached marks, or asks for a permit to call the model.
--
-- A request that gets a permit stores '?' in the place of the marks. Requests with the same text then wait for
-- these marks instead of calling the model too. The '?' expires when the call can no longer succeed.
--
-- KEYS[1] hash: the model's state
-- KEYS[2] hash: the user's calls and failures
-- KEYS[3] string: exists if the text has just timed out
-- KEYS[4] string, optional: the text's cached marks
-- ARGV[1] milliseconds after which a call is considered lost
-- ARGV[2] most calls that may be pending without a success in between
-- ARGV[3] milliseconds to keep the model's state
-- ARGV[4] most calls of a user in a window, or '' without a limit
-- ARGV[5] milliseconds of the window
-- ARGV[6] milliseconds to keep the user's calls
--
-- Returns {'cached', marks}, {'in_progress', ''}, {'normal' or 'trial', request features}, {'denied', '0'}, or
-- {'limited', milliseconds until the model may be called for this user}.
local marks = KEYS[4] and redis.call('GET', KEYS[4])
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
if open_until then
    -- Open, or half-open with a trial under way. A text that has just timed out must not decide the trial.
    if now < open_until or now < trial_until or redis.call('EXISTS', KEYS[3]) == 1 then
        return {'denied', '0'}
    end
else
    if now >= pending_until then
        pending, pending_until = 0, now + ARGV[1]
    end
    if pending >= tonumber(ARGV[2]) then
        return {'denied', '0'}
    end
end

local user = redis.call('HMGET', KEYS[2], 'paused_until', 'calls', 'calls_until')
local paused_until, calls, calls_until = tonumber(user[1]) or 0, tonumber(user[2]) or 0, tonumber(user[3]) or 0
if now < paused_until then
    return {'limited', tostring(paused_until - now)}
end
if ARGV[4] ~= '' then
    if now >= calls_until then
        calls, calls_until = 0, now + ARGV[5]
    end
    if calls >= tonumber(ARGV[4]) then
        return {'limited', tostring(calls_until - now)}
    end
    redis.call('HSET', KEYS[2], 'calls', calls + 1, 'calls_until', calls_until)
    redis.call('PEXPIRE', KEYS[2], ARGV[6])
end

local permit = 'normal'
if open_until then
    permit = 'trial'
    redis.call('HSET', KEYS[1], 'trial_until', now + ARGV[1])
else
    redis.call('HSET', KEYS[1], 'pending', pending + 1, 'pending_until', pending_until)
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
if KEYS[4] then
    redis.call('SET', KEYS[4], '?', 'PX', ARGV[1])
end
if now < (tonumber(state[6]) or 0) then
    return {permit, state[5]}
end
return {permit, '0'}
