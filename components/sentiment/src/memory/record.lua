-- After the model was asked: what came of it.
-- KEYS: what is known of the model; where its marks may be kept, those of the text.
-- ARGV: 'answered', 'failed' or 'paused'; 'ask' or 'trial'; milliseconds of the pause;
--   failures in a row that open the circuit; milliseconds of its longest pause; milliseconds to keep this;
--   milliseconds to know a dialect; the dialect that worked, or ''; where there are marks to keep, these and for how many milliseconds.
-- Gives {'closed' or 'opened' or 'open', <milliseconds of the pause>}.
if ARGV[9] then
    redis.call('SET', KEYS[2], ARGV[9], 'PX', ARGV[10])
elseif KEYS[2] and redis.call('GET', KEYS[2]) == '?' then
    -- Who waits for these marks asks for itself.
    redis.call('DEL', KEYS[2])
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local state = redis.call('HMGET', KEYS[1], 'pause_ends', 'pause', 'failures', 'dialect', 'dialect_ends')
local pause_ends, pause, failures = tonumber(state[1]), tonumber(state[2]) or 0, tonumber(state[3]) or 0
local outcome, is_trial, news = ARGV[1], ARGV[2] == 'trial', {'closed', 0}
if pause_ends and not is_trial then
    -- Asked before the circuit opened: that is decided, and only a longer pause still matters.
    news[1] = 'open'
    if outcome == 'paused' and now + ARGV[3] > pause_ends then
        redis.call('HSET', KEYS[1], 'pause_ends', now + ARGV[3])
    end
elseif outcome == 'answered' then
    redis.call('HDEL', KEYS[1], 'pause_ends', 'pause', 'failures', 'trial_ends', 'waiting', 'waiting_ends')
elseif outcome == 'paused' then
    redis.call('HSET', KEYS[1], 'pause_ends', now + ARGV[3], 'trial_ends', 0)
    news = {'opened', tonumber(ARGV[3])}
elseif pause_ends or failures + 1 >= tonumber(ARGV[4]) then
    pause = math.min(math.max(2 * pause, tonumber(ARGV[3])), tonumber(ARGV[5]))
    redis.call('HSET', KEYS[1], 'pause_ends', now + pause, 'pause', pause, 'trial_ends', 0)
    news = {'opened', pause}
else
    redis.call('HSET', KEYS[1], 'failures', failures + 1)
end
-- Known for a while from when it was learnt, so that a server that has learnt more is found out.
local known = now < (tonumber(state[5]) or 0) and state[4] or '0'
if ARGV[8] ~= '' and ARGV[8] ~= known then
    redis.call('HSET', KEYS[1], 'dialect', ARGV[8], 'dialect_ends', now + ARGV[7])
end
redis.call('PEXPIRE', KEYS[1], ARGV[6])
return news
