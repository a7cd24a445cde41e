-- Records the result of a call to the model: the circuit's state, the request features, and the marks to cache.
--
-- KEYS[1] hash: the model's state
-- KEYS[2] string, optional: the text's cached marks
-- ARGV[1] 'success', 'failure' or 'pause'
-- ARGV[2] permit of the call: 'normal' or 'trial'
-- ARGV[3] milliseconds of the pause: the one asked for, or the first one after failures
-- ARGV[4] failures in a row that open the circuit
-- ARGV[5] milliseconds of the longest pause after failures
-- ARGV[6] milliseconds to keep the model's state
-- ARGV[7] milliseconds to keep the request features
-- ARGV[8] the request features that the server accepted, or ''
-- ARGV[9], ARGV[10] optional: the marks to cache, and for how many milliseconds
--
-- Returns {'closed', 0}, {'opened', milliseconds of the pause}, or {'still_open', 0}.
if ARGV[9] then
    redis.call('SET', KEYS[2], ARGV[9], 'PX', ARGV[10])
elseif KEYS[2] and redis.call('GET', KEYS[2]) == '?' then
    -- There are no marks to wait for: waiting requests now call the model themselves.
    redis.call('DEL', KEYS[2])
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local state = redis.call('HMGET', KEYS[1], 'open_until', 'pause', 'failures', 'features', 'features_until')
local open_until, pause, failures = tonumber(state[1]), tonumber(state[2]) or 0, tonumber(state[3]) or 0
local outcome, is_trial, transition = ARGV[1], ARGV[2] == 'trial', {'closed', 0}
if open_until and not is_trial then
    -- This call began before the circuit opened. It cannot close the circuit, only ask for a longer pause.
    transition[1] = 'still_open'
    if outcome == 'pause' and now + ARGV[3] > open_until then
        redis.call('HSET', KEYS[1], 'open_until', now + ARGV[3])
    end
elseif outcome == 'success' then
    redis.call('HDEL', KEYS[1], 'open_until', 'pause', 'failures', 'trial_until', 'pending', 'pending_until')
elseif outcome == 'pause' then
    redis.call('HSET', KEYS[1], 'open_until', now + ARGV[3], 'trial_until', 0)
    transition = {'opened', tonumber(ARGV[3])}
elseif open_until or failures + 1 >= tonumber(ARGV[4]) then
    pause = math.min(math.max(2 * pause, tonumber(ARGV[3])), tonumber(ARGV[5]))
    redis.call('HSET', KEYS[1], 'open_until', now + pause, 'pause', pause, 'trial_until', 0)
    transition = {'opened', pause}
else
    redis.call('HSET', KEYS[1], 'failures', failures + 1)
end

-- The lifetime counts from when the features were learned: each use must not extend it, or an updated server
-- would never be tried with all features again.
local known = now < (tonumber(state[5]) or 0) and state[4] or '0'
if ARGV[8] ~= '' and ARGV[8] ~= known then
    redis.call('HSET', KEYS[1], 'features', ARGV[8], 'features_until', now + ARGV[7])
end
redis.call('PEXPIRE', KEYS[1], ARGV[6])
return transition
