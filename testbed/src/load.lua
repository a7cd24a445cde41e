-- Sends prepared requests in turn, and reports what was measured as JSON.
-- The generated part before this sets `round`, `think` (in milliseconds) and `calls`.

local started = 0
function setup(thread)
  thread:set("thread_number", started)
  started = started + 1
end

-- Each thread begins at a different request.
local prepared, last, sent = {}, 0, 0
function init()
  for number, call in ipairs(calls) do
    prepared[number] = wrk.format(call.method, call.path, call.headers, call.body)
  end
  last = math.floor(thread_number * #prepared / 2)
  math.randomseed(round * 100 + thread_number)
end

-- wrk asks for a pause before each request, the first one included, only where this function exists.
if think > 0 then
  function delay()
    return math.random(0, 2 * think)
  end
end

function request()
  last = last % #prepared + 1
  sent = sent + 1
  return (prepared[last]:gsub("NNNNNNNNNNNN", string.format("%03d%d%08d", round, thread_number, sent)))
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    'measured {"requests":%d,"duration":%d,"p50":%.1f,"p99":%.1f,"mean":%.1f,"status":%d,"socket":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency.mean,
    e.status, e.connect + e.read + e.write + e.timeout))
end
