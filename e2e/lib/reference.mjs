// The reference: the official Node server with the presence events of the
// protocol, sections 2 and 3. What it does with a frame is what Rollcall is
// expected to do with it. It sends a list for every change, unbatched.
import { createServer } from 'node:http';
import { Server } from 'socket.io';

const MAX_USER = 4096;
const WANTS = new Set(['both', 'list', 'changes', 'count', 'none']);

class Refusal extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

// startReference takes what it has in common with Rollcall's environment.
export async function startReference({ PING_INTERVAL = '25000ms', PING_TIMEOUT = '20000ms' } = {}) {
  const http = createServer((request, response) => {
    response.writeHead(404).end();
  });
  const io = new Server(http, {
    allowEIO3: true,
    maxHttpBufferSize: 1e6,
    pingInterval: parseInt(PING_INTERVAL, 10),
    pingTimeout: parseInt(PING_TIMEOUT, 10),
    cors: { origin: true, credentials: true },
  });
  // A polling session that was closed with no poll waiting is remembered for
  // half a minute; tests do not wait for that.
  io.engine.on('connection', (session) => { session.transport.closeTimeout = 500; });
  const entries = new Map();
  let puts = 0;

  // view: user id -> the newest entry's data, at the first entry's place.
  const view = () => {
    const users = new Map();
    for (const entry of entries.values()) {
      const known = users.get(entry.id);
      if (!known || known.put < entry.put) users.set(entry.id, entry);
    }
    return users;
  };
  const list = () => [...view().values()].map((entry) => entry.user);
  const wanting = (...kinds) => [...io.of('/').sockets.values()].filter((socket) => kinds.includes(socket.data.wants));

  const leave = (socket, reason) => {
    if (entries.has(socket.id)) change(reason, () => entries.delete(socket.id));
  };

  function change(reason, step) {
    const before = view();
    step();
    const after = view();
    const tell = (event, ...args) => wanting('both', 'changes').forEach((socket) => socket.emit(event, ...args));
    for (const [id, { user }] of after) {
      if (!before.has(id)) tell('add_user', user);
      else if (JSON.stringify(before.get(id).user) !== JSON.stringify(user)) tell('update_user', user);
    }
    for (const [id, { user }] of before) {
      if (!after.has(id)) tell('remove_user', user, { reason });
    }
    wanting('both', 'list').forEach((socket) => socket.emit('online_users', list()));
    if (before.size !== after.size) wanting('count').forEach((socket) => socket.emit('online_count', after.size));
  }

  io.on('connection', (socket) => {
    const { auth, query } = socket.handshake;
    socket.data.wants = [auth?.presence, query.presence].find((kind) => WANTS.has(kind)) ?? 'both';

    const on = (event, act) => socket.on(event, (...args) => {
      const ack = typeof args.at(-1) === 'function' ? args.pop() : undefined;
      try {
        act(...args);
        ack?.({ ok: true });
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        const refusal = { ok: false, error: error.code, message: error.message };
        if (ack) ack(refusal);
        else socket.emit('rollcall_error', { ...refusal, event });
      }
    });

    on('register', (user) => {
      if (user === null || typeof user !== 'object' || Array.isArray(user)) throw new Refusal('bad_user', 'A user is a JSON object.');
      if (Buffer.byteLength(JSON.stringify(user)) > MAX_USER) throw new Refusal('too_large', 'The user object is too large.');
      const first = !entries.has(socket.id);
      change('closed', () => entries.set(socket.id, { id: String(user.id ?? socket.id), user, put: ++puts }));
      if (first && socket.data.wants === 'changes') socket.emit('online_users', list());
    });
    on('unregister', () => leave(socket, 'signed_out'));
    on('sync', () => socket.emit('online_users', list()));
    socket.on('disconnect', () => leave(socket, 'closed'));
  });

  await new Promise((resolve) => http.listen(0, '127.0.0.1', resolve));
  const { port } = http.address();
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    pid: process.pid,
    log: () => '',
    exited: () => false,
    stop: () => new Promise((resolve) => {
      io.close(() => resolve());
      http.closeAllConnections();
    }),
  };
}
