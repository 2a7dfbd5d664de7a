-- Drives one server for wrk and checks every answer. Arguments: the file of requests (one a line: method, path, body, separated by
-- tabs), the file of headers, the text that every right answer holds, how often it holds it, and a seed.
local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

function init(arguments)
  local headers = {}
  for line in io.lines(arguments[2]) do
    local name, value = line:match("^([^:]+): (.*)$")
    headers[name] = value
  end
  requests = {}
  for line in io.lines(arguments[1]) do
    local method, path, body = line:match("^([^\t]*)\t([^\t]*)\t(.*)$")
    requests[#requests + 1] = wrk.format(method, path, headers, body ~= "" and body or nil)
  end
  count, expected, times = #requests, arguments[3], tonumber(arguments[4])
  math.randomseed(tonumber(arguments[5]))
  random, find = math.random, string.find
  good, bad, sample = 0, 0, ""
end

function request()
  return requests[random(count)]
end

function response(status, _, body)
  local from, found = 1, 0
  if status == 200 then
    while found < times do
      local _, last = find(body, expected, from, true)
      if not last then break end
      from, found = last + 1, found + 1
    end
  end
  if found == times then
    good = good + 1
  else
    bad = bad + 1
    if sample == "" then sample = status .. " " .. body:sub(1, 400) end
  end
end

function done(summary, latency)
  local right, wrong, first = 0, 0, ""
  for _, thread in ipairs(threads) do
    right = right + thread:get("good")
    wrong = wrong + thread:get("bad")
    if first == "" then first = thread:get("sample") end
  end
  local failed = summary.errors
  io.write(string.format("RESULT\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\n", summary.duration, right, wrong,
    failed.connect + failed.read + failed.write + failed.timeout,
    latency:percentile(50), latency:percentile(99), latency.max, first:gsub("%c", " ")))
end
