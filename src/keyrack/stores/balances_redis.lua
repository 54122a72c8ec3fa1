-- One step on one balance, on Redis 6.2 or later.
--
-- The rules are those of keyrack.stores.crediting; here are those of its steps that a request waits for.
-- Nothing here reads a clock or a calendar: times come from the caller, and with each tier when its next
-- reset would be. Numbers stay below 2^53.
--
-- KEYS: the balance or none, the reservation or none, the open reservations by when they lapse.
-- ARGV: charge, end, renew, state or remove; then what that takes, see each.

local balance, reservation, open = KEYS[1], KEYS[2], KEYS[3]
local NONE = ''

local function exists(key)
  return key ~= NONE and redis.call('EXISTS', key) == 1
end

local function number(key, field)
  return tonumber(redis.call('HGET', key, field))
end

local function add(key, field, value)
  if value ~= 0 then
    redis.call('HINCRBY', key, field, value)
  end
end

-- The balance's tier among those from ARGV[first] on, five values each; nil where it is not among them.
local function tier_from(first)
  local name = redis.call('HGET', balance, 'tier')
  for index = first, #ARGV, 5 do
    if ARGV[index] == name then
      return {
        credits = ARGV[index + 1],
        input_limit = tonumber(ARGV[index + 2]),
        output_limit = tonumber(ARGV[index + 3]),
        resets_at = ARGV[index + 4],
      }
    end
  end
end

local function reset(tier, now)
  local resets_at = redis.call('HGET', balance, 'resets_at')
  if resets_at ~= NONE and tonumber(resets_at) > now then
    return
  end
  redis.call('HSET', balance, 'resets_at', tier.resets_at)
  if resets_at ~= NONE then
    redis.call('HSET', balance, 'available', tier.credits, 'input_used', 0, 'output_used', 0, 'has_refused', 0)
    add(balance, 'period', 1)
  end
end

local function lacking(tier, cost, input_units)
  if cost > number(balance, 'available') then
    return 'credits'
  end
  if tier and tier.input_limit and number(balance, 'input_used') + input_units > tier.input_limit then
    return 'input'
  end
  if tier and tier.output_limit and number(balance, 'output_used') >= tier.output_limit then
    return 'output'
  end
  return NONE
end

local function keep(now, lapses_at, cost, input_units)
  redis.call('HSET', reservation, 'balance', balance, 'cost', cost, 'input_units', input_units,
    'period', redis.call('HGET', balance, 'period'), 'made_at', now, 'lapses_at', lapses_at,
    'at_lapse', ARGV[6], 'reporter', ARGV[7], 'account', ARGV[8], 'outcome', NONE)
  redis.call('ZADD', open, lapses_at, reservation)
end

-- charge, now, lapses_at, cost, input_units, at_lapse, reporter, account, tiers ...
-- Returns what was too little, whether that is the first time, and the balance; nothing where there is none.
local function charge()
  local now, cost, input_units = tonumber(ARGV[2]), tonumber(ARGV[4]), tonumber(ARGV[5])
  if not exists(balance) then
    return {}
  end
  if exists(reservation) then
    return {NONE, 0, redis.call('HGETALL', balance)}
  end
  local tier = tier_from(9)
  if tier then
    reset(tier, now)
  end
  add(balance, 'changes', 1)
  local short = lacking(tier, cost, input_units)
  local is_first = redis.call('HGET', balance, 'has_refused') == '0'
  if short ~= NONE then
    redis.call('HSET', balance, 'has_refused', 1)
  else
    add(balance, 'available', -cost)
    add(balance, 'input_used', input_units)
    if reservation ~= NONE then
      keep(ARGV[2], ARGV[3], ARGV[4], ARGV[5])
    end
  end
  return {short, is_first and 1 or 0, redis.call('HGETALL', balance)}
end

-- end, outcome, input_units or none, output_units, milliseconds for which it is still known, when it must be
-- due or none. Returns whether it ended just now.
local function finish()
  if redis.call('HGET', reservation, 'outcome') ~= NONE then
    return 0
  end
  if ARGV[6] ~= NONE and number(reservation, 'lapses_at') > tonumber(ARGV[6]) then
    return 0
  end
  redis.call('HSET', reservation, 'outcome', ARGV[2])
  redis.call('PEXPIRE', reservation, ARGV[5])
  redis.call('ZREM', open, reservation)
  balance = redis.call('HGET', reservation, 'balance')
  if redis.call('HGET', balance, 'period') ~= redis.call('HGET', reservation, 'period') then
    return 1
  end
  add(balance, 'changes', 1)
  if ARGV[2] == 'refunded' then
    add(balance, 'available', number(reservation, 'cost'))
    add(balance, 'input_used', -number(reservation, 'input_units'))
    return 1
  end
  if ARGV[3] ~= NONE then
    add(balance, 'input_used', tonumber(ARGV[3]) - number(reservation, 'input_units'))
  end
  add(balance, 'output_used', tonumber(ARGV[4]))
  return 1
end

-- renew, lapses_at. Returns whether it is still open.
local function renew()
  if redis.call('HGET', reservation, 'outcome') ~= NONE then
    return 0
  end
  redis.call('HSET', reservation, 'lapses_at', ARGV[2])
  redis.call('ZADD', open, ARGV[2], reservation)
  return 1
end

-- state, how many changes the balance had when it was read, or none; the list of its tenant, its name there,
-- the counter of places; then its fields and their values. Returns whether nobody else changed it meanwhile.
local function state()
  local changes = redis.call('HGET', balance, 'changes') or NONE
  if changes ~= ARGV[2] then
    return 0
  end
  if changes == NONE then
    redis.call('ZADD', ARGV[3], redis.call('INCR', ARGV[5]), ARGV[4])
  end
  redis.call('HSET', balance, unpack(ARGV, 6))
  add(balance, 'changes', 1)
  return 1
end

-- remove, the list of its tenant, its name there. Returns whether there was one.
local function remove()
  redis.call('ZREM', ARGV[2], ARGV[3])
  return redis.call('DEL', balance)
end

local operations = {charge = charge, ['end'] = finish, renew = renew, state = state, remove = remove}
return operations[ARGV[1]]()
