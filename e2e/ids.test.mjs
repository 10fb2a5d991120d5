// What others can see of a socket opens no connection and continues none: the id
// of its transport, which for clients of protocol 3 is their socket.id, is shown to
// nobody else, and the ids that are shown are worth nothing.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createClient } from 'redis';
import { WebSocket } from 'ws';
import { connect, every } from './lib/clients.mjs';
import { request } from './lib/raw.mjs';
import { startRedis } from './lib/redis.mjs';
import { startServer } from './lib/server.mjs';
import { until } from './lib/wait.mjs';

// witness sees what an instance writes to Redis and publishes there.
async function witness(t, redis) {
  const client = createClient({ url: redis.url });
  client.on('error', () => {}); // the end of the test cuts it
  await client.connect();
  t.after(() => client.destroy());
  const seen = [];
  await client.monitor((line) => seen.push(line));
  return seen;
}

// spy connects an onlooker that records every packet, whatever its event.
async function spy(t, server, userId, query) {
  const client = await connect(t, server.url, { version: '4.8.4', mode: 'websocket', query: { userId, ...query } });
  client.packets = [];
  client.socket.onAny((...packet) => client.packets.push(packet));
  await client.ask('join', { room: 'lobby', username: userId });
  await client.sees('user_list');
  await client.ask('watch_stage', { token: 's' });
  await client.ask('watch_race', { race_id: 'r' });
  return client;
}

// tryIn does with an id what the owner of a session does; it is refused.
async function tryIn(server, id) {
  for (const eio of [3, 4]) {
    const path = (transport) => `/socket.io/?EIO=${eio}&transport=${transport}&sid=${encodeURIComponent(id)}`;
    for (const method of ['GET', 'POST']) {
      const { status } = await request(server, { method, path: path('polling'), ...(method === 'POST' && { body: '4:41' }) });
      assert.equal(status, 400, `${method} as ${id}, EIO${eio}`);
    }
    const ws = new WebSocket(`${server.url.replace('http', 'ws')}${path('websocket')}`);
    const end = await new Promise((resolve) => {
      ws.once('unexpected-response', (_, response) => resolve(response.statusCode)).once('open', () => resolve('open')).once('error', () => {});
    });
    ws.terminate();
    assert.equal(end, 400, `a WebSocket as ${id}, EIO${eio}`);
  }
}

// play has an anonymous client do all that others hear of, leave, and come back as
// another connection, which stays.
async function play(t, server, spies, kind) {
  const victim = await connect(t, server.url, kind);
  const name = `Bob of ${victim.name}`;
  await victim.ask('register', { name });
  for (const [event, ...args] of [
    ['join', { room: 'lobby', username: name }], ['typing', { room: 'lobby' }], ['message', { room: 'lobby', content: `hello, I am ${name}` }],
    ['join_stage', { token: 's' }], ['add_car', { race_id: 'r' }], ['update_r_speed', { speed: 1 }], ['invite', { id: 'spy' }],
    ['status', 'away'], ['status', 'hidden'], ['status', 'active'], ['nonsense'],
  ]) await victim.ask(event, ...args);
  await Promise.all(spies.map((one) => until(() => one.packets.some((packet) => packet[0] === 'message' && packet[1].data.content.endsWith(name)), 'the message')));
  const { id } = victim.engine; // the end of a connection takes it away
  const own = victim.socket.id;
  victim.socket.disconnect();
  await Promise.all(spies.map((one) => one.sees('user_left', ({ username }) => username === name)));
  const again = await connect(t, server.url, kind);
  await again.ask('register', { name });
  return { again, sids: [id, again.engine.id], owns: [own, again.socket.id] };
}

for (const COMPAT of ['', 'strict']) {
  test(`nobody sees how to go on as another${COMPAT && ', strict'}`, async (t) => {
    const redis = await startRedis();
    const written = await witness(t, redis);
    const server = await startServer({ REDIS_URL: redis.url, LOG_LEVEL: 'debug', COMPAT });
    t.after(redis.stop);
    t.after(() => server.stop());
    const spies = [await spy(t, server, 'spy'), await spy(t, server, 'spy2', { presence: 'changes' })];
    const played = [];
    for (const kind of every) played.push(await play(t, server, spies, kind));
    await spies[0].ask('sync');
    await until(() => spies[0].packets.some(([name, ids]) => name === 'updateOnlineUsers' && ids.spy2), 'the ids');

    const pages = [];
    for (const path of ['/api/online_users', '/api/online_users/count', '/api/users/spy', '/api/rooms/lobby/users', '/api/rooms/lobby/messages', '/metrics', '/readyz', '/healthz']) {
      const { status, body } = await request(server, { path });
      assert.equal(status, 200, path);
      pages.push(body);
    }
    const shown = {
      events: JSON.stringify(spies.map((one) => one.packets)), HTTP: pages.join('\n'), log: server.log(), Redis: written.join('\n'),
    };
    for (const [where, text] of Object.entries(shown)) {
      for (const sid of played.flatMap(({ sids }) => sids)) assert.ok(!text.includes(sid), `${where}: the id of a transport is there`);
    }
    for (const own of played.flatMap(({ owns }) => owns)) assert.ok(!shown.events.includes(own), 'others are told a socket id');
    assert.match(shown.Redis, /Bob of 2\.5\.0/);

    // Whatever looks like an id opens nothing.
    const ids = new Set(Object.values(shown).join('\n').match(/(?<![\w-])[\w-]{24}(?![\w-])/g));
    assert.ok(ids.size >= 2 * every.length, 'the socket ids are in the log');
    for (const id of ids) await tryIn(server, id);
    for (const { again, sids, owns } of played) {
      assert.deepEqual(await again.ask('heartbeat'), { ok: true });
      if (again.name.startsWith('1.') || again.name.startsWith('2.')) assert.deepEqual(owns, sids); // as these clients have it
    }
  });
}
