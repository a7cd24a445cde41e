-- Records the result of a call to the model: the circuit's state, the user's failures, the request features, and the
-- marks to cache.
--
-- KEYS[1] hash: the model's state
-- KEYS[2] hash: the user's calls and failures
-- KEYS[3] string: exists if the text has just timed out
-- KEYS[4] string, optional: the text's cached marks
-- ARGV[1] 'success', 'failure', 'timeout' (also a failure) or 'pause'
-- ARGV[2] permit of the call: 'normal' or 'trial'
-- ARGV[3] milliseconds of the pause: the one asked for, or the first one after failures
-- ARGV[4] failures that open the circuit or pause the user
-- ARGV[5] milliseconds of the longest pause after failures
-- ARGV[6] milliseconds to keep the model's state
-- ARGV[7] milliseconds to keep the user's calls
-- ARGV[8] milliseconds to remember that the text has timed out
-- ARGV[9] milliseconds to keep the request features
-- ARGV[10] the request features that the server accepted, or ''
-- ARGV[11], ARGV[12] optional: the marks to cache, and for how many milliseconds
--
-- Returns {'closed', 0}, {'opened' or 'user_paused', milliseconds of the pause}, or {'still_open', 0}.
if ARGV[11] then
    redis.call('SET', KEYS[4], ARGV[11], 'PX', ARGV[12])
elseif KEYS[4] and redis.call('GET', KEYS[4]) == '?' then
    -- There are no marks to wait for: waiting requests now call the model themselves.
    redis.call('DEL', KEYS[4])
end
if ARGV[1] == 'timeout' then
    redis.call('SET', KEYS[3], '1', 'PX', ARGV[8])
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local state = redis.call('HMGET', KEYS[1],
    'open_until', 'pause', 'failures', 'failed_users', 'features', 'features_until')
local open_until, pause = tonumber(state[1]), tonumber(state[2]) or 0
local failures, failed_users = tonumber(state[3]) or 0, state[4] or ''
local outcome, is_trial, transition = ARGV[1], ARGV[2] == 'trial', {'closed', 0}

local function open()
    pause = math.min(math.max(2 * pause, tonumber(ARGV[3])), tonumber(ARGV[5]))
    redis.call('HSET', KEYS[1], 'open_until', now + pause, 'pause', pause, 'trial_until', 0)
    transition = {'opened', pause}
end

if open_until and not is_trial then
    -- This call began before the circuit opened. It cannot close the circuit, only ask for a longer pause.
    transition[1] = 'still_open'
    if outcome == 'pause' and now + ARGV[3] > open_until then
        redis.call('HSET', KEYS[1], 'open_until', now + ARGV[3])
    end
elseif outcome == 'success' then
    redis.call('HDEL', KEYS[1],
        'open_until', 'pause', 'failures', 'failed_users', 'trial_until', 'pending', 'pending_until')
    redis.call('HDEL', KEYS[2], 'failures', 'paused_until')
elseif outcome == 'pause' then
    redis.call('HSET', KEYS[1], 'open_until', now + ARGV[3], 'trial_until', 0)
    transition = {'opened', tonumber(ARGV[3])}
elseif open_until then
    open()
else
    -- Each user counts once: the texts of one user, which may be slow by intent, do not open the circuit for others.
    if not string.find(failed_users, KEYS[2], 1, true) then
        failures, failed_users = failures + 1, failed_users .. ' ' .. KEYS[2]
        redis.call('HSET', KEYS[1], 'failures', failures, 'failed_users', failed_users)
    end
    local own_failures = redis.call('HINCRBY', KEYS[2], 'failures', 1)
    redis.call('PEXPIRE', KEYS[2], ARGV[7])
    if failures >= tonumber(ARGV[4]) then
        open()
    elseif own_failures >= tonumber(ARGV[4]) then
        local doubled = math.min(own_failures - ARGV[4], 30)
        local own_pause = math.min(ARGV[3] * 2 ^ doubled, tonumber(ARGV[5]))
        redis.call('HSET', KEYS[2], 'paused_until', now + own_pause)
        transition = {'user_paused', own_pause}
    end
end

-- The lifetime counts from when the features were learned: each use must not extend it, or an updated server
-- would never be tried with all features again.
local known = now < (tonumber(state[6]) or 0) and state[5] or '0'
if ARGV[10] ~= '' and ARGV[10] ~= known then
    redis.call('HSET', KEYS[1], 'features', ARGV[10], 'features_until', now + ARGV[9])
end
redis.call('PEXPIRE', KEYS[1], ARGV[6])
return transition
