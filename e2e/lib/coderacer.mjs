// The reference: the Node service code_racer as PROTOCOL.md, section 3, lists
// it, on npm's socket.io 4.8.4 or 1.7.4. Every emit goes to all sockets.
//
// Its known defects are fixed, as little as it takes; each fix has a name and
// can be left out, so that a test can show the defect:
//   'join twice'   a socket that joins a stage twice started two races
//   'car twice'    a socket with two cars in a race sent each speed twice
//   'no tracks'    starting a race with no track known ended the process
//   'no data'      join_stage or add_car without data ended the process
//   'inherited'    a stage or race named like a property of every object
//                  (constructor, __proto__) ended the process
//
// Rules are what the contract's default mode does otherwise, applied here so
// that the rest can be compared:
//   'unique users' a user is listed once: newest data at the first one's place
//   'forget'       a stage forgets a racer whose socket is gone; of a racer's
//                  sockets the first that is left counts
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { Server } from 'socket.io';

const require = createRequire(import.meta.url);
export const FIXES = ['join twice', 'car twice', 'no tracks', 'no data', 'inherited'];
export const RULES = ['unique users', 'forget'];

const libraries = {
  '4.8.4': (http) => new Server(http, { allowEIO3: true, cors: { origin: true } }),
  '1.7.4': (http) => require('socket.io-1.7')(http),
};

// What each library's server still serves.
export const servedBy = { '4.8.4': ['1.7.4', '2.5.0', '3.1.3', '4.8.4'], '1.7.4': ['1.7.4', '2.5.0'] };

// With these clients the library garbles text over polling, as 1.x encodes
// UTF-8 twice and 2.x does not: there the reference uses WebSocket.
const garbled = { '4.8.4': '1.7.4', '1.7.4': '2.5.0' };

// startCodeRacer runs it on a free port. fault, for negative controls, may
// change each emit: it is given the event and its arguments and returns a list
// of events to emit instead.
export async function startCodeRacer({ library = '4.8.4', railsUrl, without = [], rules = [], fault } = {}) {
  const http = createServer((request, response) => response.writeHead(404).end());
  const io = libraries[library](http);
  // A polling session that was closed with no poll waiting is remembered for
  // half a minute; tests do not wait for that.
  // And 1.7 may set a last ping timer for a session that is closed already.
  const sessions = [];
  io.engine.on('connection', (session) => {
    session.transport.closeTimeout = 500;
    sessions.push(session);
  });
  const tracks = railsUrl ? await (await fetch(`${railsUrl}/api/tracks`)).json() : [];
  const emit = (event, ...args) => {
    for (const [name, ...rest] of fault?.(event, ...args) ?? [[event, ...args]]) io.sockets.emit(name, ...rest);
  };
  serve(io, { tracks, emit, fixed: new Set(FIXES.filter((fix) => !without.includes(fix))), rules: new Set(rules) });

  await new Promise((resolve) => http.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${http.address().port}`,
    fit: (client) => (client.version === garbled[library] ? { ...client, mode: 'websocket' } : client),
    stop: () => new Promise((resolve) => {
      io.close();
      http.close(() => resolve());
      http.closeAllConnections();
      sessions.forEach((session) => clearTimeout(session.pingTimeoutTimer));
    }),
  };
}

function serve(io, { tracks, emit, fixed, rules }) {
  const table = () => (fixed.has('inherited') ? Object.create(null) : {});
  const users = onlineUsers(rules.has('unique users'));
  const stages = table();
  const races = table();
  const tellUsers = () => emit('online_users', users.list());

  io.on('connection', (socket) => {
    const handled = new Set();
    // handle binds an event, as Node did, in the midst of another's handler.
    const handle = (fix, event, act) => {
      if (fixed.has(fix) && handled.has(event)) return;
      handled.add(event);
      socket.on(event, act);
    };

    socket.on('register', (data) => {
      users.put(socket.id, data);
      tellUsers();
    });

    socket.on('disconnect', () => {
      users.remove(socket.id);
      tellUsers();
      if (rules.has('forget')) forget(socket.id);
    });

    socket.on('invite', (data) => emit('invite', data));

    socket.on('join_stage', (data) => {
      if (fixed.has('no data') && !data) return;
      const stage = stages[data.token] ??= [];
      // To forget it has to know who else would be there, once the first is gone.
      const there = stage.some((racer) => racer.data.id === data.id && (!rules.has('forget') || racer.socket === socket.id));
      if (!there) stage.push({ data, socket: socket.id });
      tellStage(data.token);
      handle('join twice', `start_race_${data.token}`, () => {
        if (fixed.has('no tracks') && tracks.length === 0) return;
        emit(`start_race_${data.token}`, { track_id: tracks[Math.floor(Math.random() * tracks.length)].id });
      });
    });

    socket.on('add_car', (car) => {
      if (fixed.has('no data') && !car) return;
      const race = races[car.race_id] ??= [];
      race.push(car);
      emit(`race_${car.race_id}_update`, race);
      const event = `update_${car.race_id}_speed`;
      handle('car twice', event, (data) => emit(event, data));
    });
  });

  function tellStage(token) {
    const racers = stages[token].map((racer) => racer.data);
    emit(`update_stage_${token}`, racers.filter((data, at) => racers.findIndex((one) => one.id === data.id) === at));
  }

  function forget(socket) {
    for (const [token, stage] of Object.entries(stages)) {
      const left = stage.filter((racer) => racer.socket !== socket);
      if (left.length === stage.length) continue;
      stages[token] = left;
      tellStage(token);
    }
  }
}

// onlineUsers is the hash of users by socket id. By the rule it is one of
// users, each with a hash of its own, newest last.
function onlineUsers(unique) {
  const bySocket = new Map();
  const byUser = new Map();
  const take = (socket) => {
    const key = bySocket.get(socket)?.key;
    const tabs = byUser.get(key);
    tabs?.delete(socket);
    return { key, empty: () => { if (tabs?.size === 0) byUser.delete(key); } };
  };
  return {
    put(socket, data) {
      const before = take(socket);
      const key = data?.id === undefined ? `socket ${socket}` : `user ${data.id}`;
      if (key !== before.key) before.empty();
      bySocket.set(socket, { key, data });
      if (!byUser.has(key)) byUser.set(key, new Map());
      byUser.get(key).set(socket, data);
    },
    remove(socket) {
      take(socket).empty();
      bySocket.delete(socket);
    },
    list: () => (unique
      ? [...byUser.values()].map((tabs) => [...tabs.values()].at(-1))
      : [...bySocket.values()].map(({ data }) => data)),
  };
}
