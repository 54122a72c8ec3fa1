-- All limits of one request in one step, on Redis 6.2 or later.
--
-- The window of keyrack.core.window, whose docstrings are its rules, over states that are kept as bytes,
-- so that an entry is found by halving and never by reading all. Nothing here reads a clock: times are in
-- ticks and come from the caller.
--
-- KEYS: the bucket of each spend.
-- ARGV: take, peek, add or give_back; now; how late a caller's now may be; then for each spend its limit,
-- the length of its window, its grain and its cost.
-- Returns for each spend {ticks until it would fit, units left, tick at which the oldest unit leaves}.

local OPERATION, now, LATE = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local TICKS_A_MILLISECOND = 1000

-- A state is the number of units ever counted, then the entries in the order of their stamps: a stamp and
-- how many units were counted before it. A double holds every number below 2^53, which is in the year 2255.
local NUMBER, ENTRY = 8, 16
local STAMP, BEFORE = 1, 9

local windows = {}

local function load(bucket)
  local state = redis.call('GET', bucket)
  local window = {entries = '', total = 0}
  if state then
    window.total = struct.unpack('<d', state)
    window.entries = string.sub(state, NUMBER + 1)
  end
  return window
end

local function window_of(bucket)
  windows[bucket] = windows[bucket] or load(bucket)
  return windows[bucket]
end

local function count(window)
  return #window.entries / ENTRY
end

local function number(window, field, index)
  return (struct.unpack('<d', window.entries, index * ENTRY + field))
end

-- The entries from `first` up to, and without, `last`.
local function slice(window, first, last)
  return string.sub(window.entries, first * ENTRY + 1, last * ENTRY)
end

-- The first entry, from `from` on, whose field is above that.
local function above(window, field, bound, from)
  local low, high = from, count(window)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if number(window, field, middle) > bound then
      high = middle
    else
      low = middle + 1
    end
  end
  return low
end

local function since(window, index)
  return index < count(window) and window.total - number(window, BEFORE, index) or 0
end

local function bring_down(window, latest)
  local first = above(window, STAMP, latest, 0)
  local entries = {slice(window, 0, first)}
  for index = first, count(window) - 1 do
    table.insert(entries, struct.pack('<dd', latest, number(window, BEFORE, index)))
  end
  window.entries = table.concat(entries)
end

local function oldest(window, spend)
  local last = count(window) - 1
  if last < 0 then
    return 0
  end
  if number(window, STAMP, last) - now > LATE then
    bring_down(window, now + LATE + spend.grain - 1)
  end
  return above(window, STAMP, now - spend.length, 0)
end

local function wait(window, spend, cost)
  if cost > spend.limit then
    return spend.length
  end
  local first = oldest(window, spend)
  local excess = since(window, first) + cost - spend.limit
  if excess <= 0 then
    return 0
  end
  -- What stands before an entry is gone when it is the oldest one left. The numbers are whole.
  local last = above(window, BEFORE, number(window, BEFORE, first) + excess - 1, first + 1) - 1
  return number(window, STAMP, last) + spend.length - now
end

local function stamp_of(spend)
  return math.ceil(now / spend.grain) * spend.grain
end

local function forget(window, entries)
  window.entries = string.sub(window.entries, entries * ENTRY + 1)
end

local function keep_newest(window, units)
  local floor = window.total - units
  if number(window, BEFORE, 0) < floor then
    forget(window, above(window, BEFORE, floor, 0) - 1)
    window.entries = struct.pack('<dd', number(window, STAMP, 0), floor) .. string.sub(window.entries, ENTRY + 1)
  end
end

local function charge(window, spend)
  if spend.cost == 0 then
    return
  end
  forget(window, oldest(window, spend))
  local last, stamp = count(window) - 1, stamp_of(spend)
  -- Never back in time: units of an earlier time join the last entry.
  if last < 0 or number(window, STAMP, last) < stamp then
    window.entries = window.entries .. struct.pack('<dd', stamp, window.total)
  end
  window.total = window.total + spend.cost
  keep_newest(window, spend.limit)
end

-- Take the units from `first` on, so many of those ever counted, out of the window.
local function remove(window, first, units)
  local entries, last, total = {}, count(window) - 1, window.total
  local function moved(before)
    return before - math.max(0, math.min(before - first, units))
  end
  for index = 0, last do
    local before = moved(number(window, BEFORE, index))
    local after = moved(index < last and number(window, BEFORE, index + 1) or total)
    if after > before then
      table.insert(entries, struct.pack('<dd', number(window, STAMP, index), before))
    end
  end
  window.entries, window.total = table.concat(entries), moved(total)
end

local function give_back(window, spend)
  local last, stamp = count(window) - 1, stamp_of(spend)
  if last < 0 or number(window, STAMP, last) >= stamp + spend.length then
    return
  end
  local later = above(window, STAMP, stamp, 0)
  local given = later > last and window.total or number(window, BEFORE, later)
  remove(window, math.max(number(window, BEFORE, 0), given - spend.cost), spend.cost)
end

local function keep(bucket, window, spend)
  local last = count(window) - 1
  if last < 0 then
    redis.call('DEL', bucket)
    return
  end
  local stale_in = number(window, STAMP, last) + spend.length + LATE - now
  local milliseconds = math.max(1, math.ceil(stale_in / TICKS_A_MILLISECOND))
  redis.call('SET', bucket, struct.pack('<d', window.total) .. window.entries, 'PX', milliseconds)
end

local function spend_at(index)
  local at = 3 + (index - 1) * 4
  return {
    bucket = KEYS[index],
    window = window_of(KEYS[index]),
    limit = tonumber(ARGV[at + 1]),
    length = tonumber(ARGV[at + 2]),
    grain = tonumber(ARGV[at + 3]),
    cost = tonumber(ARGV[at + 4]),
  }
end

-- Ticks to wait for each spend, those of one bucket asked for together, and whether all fit.
local function waits_for(spends)
  local asked, waits, fits = {}, {}, true
  for index, spend in ipairs(spends) do
    asked[spend.bucket] = (asked[spend.bucket] or 0) + spend.cost
    waits[index] = spend.cost > 0 and wait(spend.window, spend, asked[spend.bucket]) or 0
    fits = fits and waits[index] == 0
  end
  return waits, fits
end

local function rate(window, spend)
  local first = oldest(window, spend)
  local reset_at = first < count(window) and number(window, STAMP, first) + spend.length or now
  return math.max(spend.limit - since(window, first), 0), reset_at
end

local function change(spends, how)
  for _, spend in ipairs(spends) do
    how(spend.window, spend)
  end
  for _, spend in ipairs(spends) do
    if spend.cost > 0 then
      keep(spend.bucket, spend.window, spend)
    end
  end
end

local spends, waits, fits = {}, {}, true
for index = 1, #KEYS do
  spends[index] = spend_at(index)
end
if OPERATION == 'take' or OPERATION == 'peek' then
  waits, fits = waits_for(spends)
end
if OPERATION == 'give_back' then
  change(spends, give_back)
elseif OPERATION == 'add' or (OPERATION == 'take' and fits) then
  change(spends, charge)
end
local answer = {}
for index, spend in ipairs(spends) do
  local remaining, reset_at = rate(spend.window, spend)
  answer[index] = {waits[index] or 0, remaining, reset_at}
end
return answer
