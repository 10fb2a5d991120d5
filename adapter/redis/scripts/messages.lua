-- The rooms' histories. account has the bytes of each room, 'bytes' of all and
-- the 'last' id; used has the rooms by their last message. The history of a room
-- that is in neither does not count, and is deleted when the room is used again.
local account, used = P .. ':messages', P .. ':messages:used'
local function messages(room) return P .. ':room:' .. room .. ':messages' end

-- The owners of the rooms: a room's bytes are in the account of the client that sent
-- its first message. owners has each room's client, as 'address.client'; addresses has
-- the bytes of each address, clients(a) those of the clients of one, and rooms(o) the
-- rooms of a client by their last message. All of it only says what to forget first:
-- keys of a wrong type are skipped.
local owners, addresses = P .. ':messages:owners', P .. ':messages:addresses'
local function clients(address) return P .. ':messages:clients:' .. address end
local function rooms(owner) return P .. ':messages:rooms:' .. owner end

local function try(...)
  local reply = redis.pcall(...)
  return not (type(reply) == 'table' and reply.err) and reply or nil
end

local function part(owner) return string.match(owner, '^(.*)%.(.*)$') end

-- Adds bytes to the account of a room's owner. An account of 0 is removed.
local function charge(room, bytes)
  local owner = try('HGET', owners, room)
  local address, client = part(owner or '')
  if not address then return end
  for key, member in pairs({ [addresses] = address, [clients(address)] = client }) do
    local left = try('ZINCRBY', key, bytes, member)
    if left and tonumber(left) <= 0 then try('ZREM', key, member) end
    try('PEXPIRE', key, KEEP_HISTORY)
  end
end

local function grow(room, bytes)
  charge(room, bytes)
  redis.call('HINCRBY', account, 'room:' .. room, bytes)
  return redis.call('HINCRBY', account, 'bytes', bytes)
end

local function forget(room)
  local size = redis.call('HGET', account, 'room:' .. room)
  if size then
    charge(room, '-' .. size)
    redis.call('HINCRBY', account, 'bytes', '-' .. size)
  end
  local owner = try('HGET', owners, room)
  if owner then try('ZREM', rooms(owner), room) end
  try('HDEL', owners, room)
  redis.call('HDEL', account, 'room:' .. room)
  redis.call('ZREM', used, room)
  redis.call('DEL', messages(room))
end

-- The room to forget when all take too much: of the address that takes most, and its
-- client that takes most, the least recently used one. So a client that was never in
-- a room cannot push its history out without taking more than its owner.
local function least()
  local address = (try('ZREVRANGE', addresses, 0, 0) or {})[1]
  if address then
    local client = (try('ZREVRANGE', clients(address), 0, 0) or {})[1]
    local room = client and (try('ZRANGE', rooms(address .. '.' .. client), 0, 0) or {})[1]
    if room then
      if redis.call('HEXISTS', account, 'room:' .. room) == 1 then return room end
      try('ZREM', rooms(address .. '.' .. client), room)
    elseif client then
      try('ZREM', clients(address), client)
    else
      try('ZREM', addresses, address)
    end
  end
  return redis.call('ZRANGE', used, 0, 0)[1]
end

-- Messages that a client may send again: by a digest of room, sender and nonce.
local nonces, nonceTimes = P .. ':messages:nonces', P .. ':messages:nonces:times'

local function repeated(nonce)
  if nonce == '' then return nil end
  local at = try('ZSCORE', nonceTimes, nonce)
  return at and tonumber(at) > now - KEEP_NONCE and try('HGET', nonces, nonce)
end

local function remember(nonce, id)
  if nonce == '' then return end
  try('ZADD', nonceTimes, text(now), nonce)
  try('HSET', nonces, nonce, id)
  local over = (try('ZCARD', nonceTimes) or 0) - MAX_NONCES
  local old = try('ZRANGEBYSCORE', nonceTimes, '-inf', text(now - KEEP_NONCE), 'LIMIT', 0, 10) or {}
  if over > #old then old = try('ZRANGE', nonceTimes, 0, over - 1) or {} end
  for _, one in ipairs(old) do
    try('ZREM', nonceTimes, one)
    try('HDEL', nonces, one)
  end
  try('PEXPIRE', nonceTimes, KEEP_NONCE)
  try('PEXPIRE', nonces, KEEP_NONCE)
end

-- Forgets some of the rooms that have not been used for too long.
local function forgetOld()
  for _, room in ipairs(redis.call('ZRANGEBYSCORE', used, '-inf', text(now - KEEP_HISTORY), 'LIMIT', 0, 10)) do
    forget(room)
  end
end

-- Reads what keep changes, as checkTypes does.
local function canKeep(room)
  for _, field in ipairs({ 'bytes', 'last', 'room:' .. room }) do
    if not tonumber(redis.call('HGET', account, field) or '0') then error(field .. ' is not an integer') end
  end
  redis.call('ZCARD', used)
  redis.call('LLEN', messages(room))
end

-- Keeps a message and returns it. tail is its JSON behind id and time. Ids
-- rise over all rooms, and are higher than any after which the sender wrote.
local function keep(room, after, tail, owner)
  local list = messages(room)
  local id = text(math.max(tonumber(redis.call('HGET', account, 'last') or '0') + 1, after + 1, now))
  local known = redis.call('HEXISTS', account, 'room:' .. room) == 1 and redis.call('ZSCORE', used, room)
  if not known or redis.call('LLEN', list) == 0 then
    forget(room)
    try('HSET', owners, room, owner)
    grow(room, 5 * #room + 1024) -- what a room takes besides its messages
  end
  local message = '{"id":' .. id .. ',"at":' .. text(now) .. ',' .. tail
  redis.call('HSET', account, 'last', id)
  redis.call('ZADD', used, text(now), room)
  local mine = rooms(try('HGET', owners, room) or owner)
  try('ZADD', mine, text(now), room)
  try('PEXPIRE', mine, KEEP_HISTORY)
  local length = redis.call('RPUSH', list, message)
  local bytes = grow(room, #message + 16)
  local oldest = redis.call('LINDEX', list, 0)
  while length > MAX_HISTORY or (tonumber(string.match(oldest, '"at":(%d+)')) or 0) < now - KEEP_HISTORY do
    redis.call('LPOP', list)
    bytes = grow(room, -#oldest - 16)
    length = length - 1
    oldest = redis.call('LINDEX', list, 0)
  end
  redis.call('PEXPIRE', list, KEEP_HISTORY) -- also if no instance is there to forget it
  while bytes > MAX_HISTORIES do
    local next = least()
    if not next then redis.call('DEL', account, owners, addresses); break end
    forget(next)
    bytes = tonumber(redis.call('HGET', account, 'bytes'))
  end
  return message, id
end
