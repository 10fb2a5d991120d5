// A client that connects with ?userId= is registered by that, and is told
// updateOnlineUsers, an object of ids, as well.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createServer } from 'node:http';
import { isDeepStrictEqual } from 'node:util';
import { Server } from 'socket.io';
import { connect, covering, every, open, replay } from './lib/clients.mjs';
import { startRedis } from './lib/redis.mjs';
import { startTarget } from './lib/target.mjs';
import { until } from './lib/wait.mjs';
import { Chance, seeds } from './racing/seed.mjs';

const plain = { version: '4.8.4', mode: 'websocket' };

// enter connects as the document's lines do: by query alone.
async function enter(t, server, kind, userId) {
  const client = open(t, server.url, { ...kind, query: { userId } });
  client.objects = [];
  client.socket.on('updateOnlineUsers', (users) => client.objects.push(users));
  await client.settled();
  client.shown = (...ids) => client.until(
    () => isDeepStrictEqual(client.objects.at(-1), Object.fromEntries(ids.map((id) => [id, true]))), `the object of ${ids}`, { show: () => client.objects.slice(-3) });
  return client;
}

for (const kind of covering) {
  describe(`?userId=, client ${kind.version} ${kind.mode}`, { concurrency: 2 }, () => {
    test('they come, see each other, and go', async (t) => {
      const server = await startTarget(t);
      const one = await enter(t, server, kind, '7');
      await one.shown('7');
      const two = await enter(t, server, kind, 'ann');
      for (const client of [one, two]) await client.shown('7', 'ann');
      // To everybody else they are users like any other.
      assert.deepEqual(two.list, [{ id: '7' }, { id: 'ann' }]);
      two.socket.disconnect();
      await one.shown('7');
      assert.deepEqual(await one.sees('remove_user'), [{ id: 'ann' }, { reason: 'closed' }]);
      assert.deepEqual(replay(one.events), [{ id: '7' }]);
    });

    test('together with clients that register, which get no object', async (t) => {
      const server = await startTarget(t);
      const [one, other] = [await enter(t, server, kind, '7'), await connect(t, server.url, kind)];
      const objects = [];
      other.socket.on('updateOnlineUsers', (users) => objects.push(users));
      assert.deepEqual(await other.ask('register', { id: 8, nickname: 'Ben' }), { ok: true });
      await one.shown('7', '8');
      await other.listed('7', 8);
      assert.deepEqual(one.list, [{ id: '7' }, { id: 8, nickname: 'Ben' }]);
      await other.ask('unregister');
      await one.shown('7');
      await other.ask('heartbeat');
      assert.deepEqual(objects, []);
    });

    test('what JavaScript makes of an id that is not there registers nobody', async (t) => {
      const server = await startTarget(t);
      const one = await enter(t, server, kind, '7');
      await one.shown('7');
      for (const nothing of [undefined, null, NaN, {}, '', 'undefined']) {
        const client = await enter(t, server, kind, nothing);
        assert.deepEqual(await client.ask('unregister'), { ok: true });
        const chooser = open(t, server.url, { ...kind, query: { presence: String(nothing ?? 'null'), status: String(nothing) } });
        await chooser.settled(); // not refused
        await chooser.ask('sync');
        await chooser.listed('7');
      }
      assert.ok(one.of('add_user').every(([user]) => user.id === '7'), 'a ghost came');
    });

    test('the id is anything that fits into a query', async (t) => {
      const server = await startTarget(t);
      const ids = ['Zoë & 山 = 😀?#%', '__proto__', 'constructor', ' '];
      const clients = [];
      for (const id of ids) clients.push(await enter(t, server, kind, id));
      await clients[0].listed(...ids);
      // As an own property, also where JavaScript has an inherited one.
      await clients[0].until(() => Object.keys(clients[0].objects.at(-1)).length === ids.length, 'all ids');
      assert.deepEqual(Object.keys(clients[0].objects.at(-1)), ids);
    });
  });
}

test('several tabs of one user are one, until the last is closed', async (t) => {
  const server = await startTarget(t);
  const [watcher, one, two] = [await enter(t, server, plain, 'w'), await enter(t, server, plain, '7'), await enter(t, server, plain, '7')];
  await two.shown('w', '7');
  one.socket.disconnect();
  const third = await enter(t, server, plain, 'x');
  await third.shown('w', '7', 'x');
  await watcher.shown('w', '7', 'x');
  assert.equal(watcher.of('remove_user').length, 0);
  two.socket.disconnect();
  await watcher.shown('w', 'x');
});

test('sync, unregister and register go on as for everybody', async (t) => {
  const server = await startTarget(t);
  const client = await enter(t, server, plain, '7');
  await client.shown('7');
  const before = client.objects.length;
  assert.deepEqual(await client.ask('sync'), { ok: true });
  await client.until(() => client.objects.length > before, 'a fresh object');
  await client.ask('register', { id: '7', nickname: 'Ann' });
  await client.until(() => client.list[0].nickname === 'Ann', 'the name');
  await client.shown('7');
  await client.ask('register', { id: 9 });
  await client.shown('9');
  await client.ask('unregister');
  await client.shown();
});

test('without a userId, or with an empty one, nobody is registered', async (t) => {
  const server = await startTarget(t);
  const [client, watcher] = [await enter(t, server, plain, ''), await connect(t, server.url, plain)];
  await watcher.ask('sync');
  await watcher.listed();
  await client.ask('sync');
  await client.listed();
  assert.deepEqual(client.objects, []);
});

test('an id that is too long is a connect error, and leaves nothing', async (t) => {
  const server = await startTarget(t);
  const client = open(t, server.url, { ...plain, query: { userId: 'x'.repeat(5000) } });
  await client.sees('connect_error');
  const other = await connect(t, server.url, plain);
  await other.ask('sync');
  await other.listed();
});

test('a hidden user is in no object', async (t) => {
  const server = await startTarget(t);
  const [one, two] = [await enter(t, server, plain, '7'), await enter(t, server, plain, '8')];
  await one.shown('7', '8');
  await two.ask('status', 'hidden');
  await one.shown('7');
  await two.ask('status', 'active');
  await one.shown('7', '8');
});

test('with presence=changes the object comes with the list, with none never', async (t) => {
  const server = await startTarget(t);
  const quiet = async (presence) => {
    const client = open(t, server.url, { ...plain, query: { userId: presence, presence } });
    client.objects = [];
    client.socket.on('updateOnlineUsers', (users) => client.objects.push(users));
    return client.settled();
  };
  const [changes, none] = [await quiet('changes'), await quiet('none')];
  await changes.until(() => changes.objects.length === 1, 'the object with the first list');
  const other = await connect(t, server.url, plain);
  await other.ask('register', { id: 1 });
  await changes.sees('add_user', (user) => user.id === 1);
  assert.equal(changes.objects.length, 1);
  assert.equal(changes.of('online_users').length, 1);
  await none.ask('heartbeat');
  assert.deepEqual([none.objects, none.events], [[], []]);
});

test('strict: an object with every list, at once', async (t) => {
  const server = await startTarget(t, { COMPAT: 'strict' });
  const one = await enter(t, server, plain, '7');
  await one.shown('7');
  const two = await enter(t, server, plain, '7');
  await two.shown('7');
  await one.until(() => one.list.length === 2, 'one element a socket');
  two.socket.disconnect();
  await one.until(() => one.list.length === 1, 'the list without the second tab');
  await one.shown('7');
  assert.equal(one.objects.length, one.of('online_users').length);
});

test('on two instances the object is of both', async (t) => {
  const redis = await startRedis();
  const [a, b] = await Promise.all(['a', 'b'].map((INSTANCE) => startTarget(t, { REDIS_URL: redis.url, INSTANCE })));
  t.after(() => redis.stop());
  const one = await enter(t, a, plain, '7');
  await one.shown('7');
  const two = await enter(t, b, plain, '8');
  await Promise.all([one, two].map((client) => client.shown('7', '8')));
  one.socket.disconnect();
  await two.shown('8');
});

// What the server of the document does, for clients with an id and one tab each.
async function startDocument(t) {
  const http = createServer();
  const io = new Server(http, { allowEIO3: true, cors: { origin: true } });
  const online = Object.create(null);
  io.engine.on('connection', (session) => { session.transport.closeTimeout = 500; });
  io.on('connection', (socket) => {
    const { userId } = socket.handshake.query;
    online[userId] = true;
    io.emit('updateOnlineUsers', online);
    socket.on('disconnect', () => {
      delete online[userId];
      io.emit('updateOnlineUsers', online);
    });
  });
  await new Promise((resolve) => http.listen(0, '127.0.0.1', resolve));
  t.after(() => new Promise((resolve) => { io.close(() => resolve()); http.closeAllConnections(); }));
  return { url: `http://127.0.0.1:${http.address().port}` };
}

describe('compared with the server of the document', () => {
  for (const seed of seeds([1, 2, 3])) {
    test(`every client shows the same after every step, seed ${seed}`, async (t) => {
      const chance = new Chance(seed);
      const servers = [await startTarget(t), await startDocument(t)];
      const here = new Map(); // user id -> a client of each server
      const shown = (n) => [...here].map(([id, clients]) => [id, Object.keys(clients[n].objects.at(-1) ?? {}).sort()]);
      for (let step = 0; step < 40; step++) {
        const id = `user ${chance.below(6)}`;
        if (here.has(id)) {
          here.get(id).forEach((client) => client.close());
          here.delete(id);
        } else {
          const kind = chance.of(every);
          here.set(id, await Promise.all(servers.map((server) => enter(t, server, kind, id))));
        }
        await until(() => isDeepStrictEqual(shown(0), shown(1)) && shown(0).every(([, ids]) => isDeepStrictEqual(ids, [...here.keys()].sort())),
          `equal objects after step ${step}, ${id}`, { show: () => [shown(0), shown(1)] });
      }
    });
  }
});
