// Two instances on one Redis, and every client version on both.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask } from './lib/api.mjs';
import { connect, every, replay } from './lib/clients.mjs';
import { startRedis } from './lib/redis.mjs';
import { startServer } from './lib/server.mjs';
import { until } from './lib/wait.mjs';

// pair is two instances that share one view. They may be stopped by the test.
async function pair(t, env = {}) {
  const redis = await startRedis();
  const running = new Set();
  const start = async (name, more) => {
    const server = await startServer({ REDIS_URL: redis.url, INSTANCE: name, ...env, ...more });
    running.add(server);
    return server;
  };
  t.after(async () => {
    await Promise.all([...running].map((server) => server.stop()));
    await redis.stop();
    for (const server of running) assert.doesNotMatch(server.log(), /DATA RACE|panic/);
  });
  const servers = await Promise.all([start('a'), start('b')]);
  return { servers, restart: (server) => start('a', { PORT: String(server.port) }) };
}

const same = (list, ids) => JSON.stringify(list?.map((user) => user.id).sort()) === JSON.stringify([...ids].sort());

// all waits until every client's list and every client's increments are these ids.
const all = (clients, ids, what) => Promise.all(clients.map((client) => client.until(
  () => same(client.list, ids) && same(replay(client.events), ids), what)));

test('every client sees those of the other instance come, change and go', async (t) => {
  const { servers } = await pair(t);
  const clients = await Promise.all(servers.flatMap((server, place) => every.map(async (kind, n) => {
    const client = await connect(t, server.url, kind);
    client.user = { id: `${'ab'[place]}${n}`, kind: client.name };
    return client;
  })));
  const ids = clients.map((client) => client.user.id);

  await Promise.all(clients.map(async (client) => assert.deepEqual(await client.ask('register', client.user), { ok: true })));
  await all(clients, ids, 'everybody');
  for (const client of clients) {
    for (const { user } of clients) {
      assert.deepEqual(client.list.find((one) => one.id === user.id), user);
      const added = client.of('add_user').filter(([one]) => one.id === user.id);
      assert.deepEqual(added, [[user]], `what ${client.name} was told of ${user.id}`);
    }
  }

  // One client of each kind changes, another leaves; on alternating instances.
  const changing = clients.filter((_, n) => n % 2 === 0);
  await Promise.all(changing.map(async (client) => {
    client.user = { ...client.user, changed: true };
    assert.deepEqual(await client.ask('register', client.user), { ok: true });
  }));
  await Promise.all(clients.map((client) => client.until(
    () => changing.every(({ user }) => client.list.find((one) => one.id === user.id)?.changed), 'the changes in the list')));
  for (const client of clients) {
    assert.equal(client.of('remove_user').length, 0);
    assert.deepEqual(client.of('update_user').map(([user]) => user.id).sort(), changing.map(({ user }) => user.id).sort());
  }

  const leaving = clients.filter((_, n) => n % 3 === 0);
  const staying = clients.filter((client) => !leaving.includes(client));
  for (const client of leaving) client.socket.disconnect();
  await all(staying, staying.map(({ user }) => user.id), 'the clients that stayed');
  for (const client of staying) {
    const removed = client.of('remove_user');
    assert.deepEqual(removed.map(([user]) => user.id).sort(), leaving.map(({ user }) => user.id).sort());
    for (const [user, why] of removed) {
      assert.deepEqual(user, leaving.find((one) => one.user.id === user.id).user);
      assert.deepEqual(why, { reason: 'closed' });
    }
  }
});

test('a user with tabs on both instances is one, until the last is closed', async (t) => {
  const { servers: [a, b] } = await pair(t);
  const ann = { id: 'ann', name: 'Ann' };
  const [old, young, watcher] = await Promise.all([
    connect(t, a.url, { version: '1.7.4', mode: 'polling' }),
    connect(t, b.url, { version: '4.8.4', mode: 'upgrade' }),
    connect(t, a.url, { version: '2.5.0', mode: 'websocket' }),
  ]);
  await old.ask('register', ann);
  await young.listed('ann');
  await young.ask('register', ann);
  await watcher.ask('register', { id: 'ben' });
  await young.listed('ann', 'ben');
  old.socket.disconnect();
  // What a's watcher does next comes to b after what happened on a before.
  await until(async () => (await ask(b, 'online_users/count')).sockets === 2, 'the end of the tab at b');
  await watcher.ask('register', { id: 'ben', again: true });
  await young.sees('update_user', (user) => user.again);
  for (const client of [young, watcher]) {
    assert.equal(client.of('remove_user').length, 0);
    assert.equal(client.of('add_user').filter(([user]) => user.id === 'ann').length, 1);
  }
  young.socket.disconnect();
  assert.deepEqual(await watcher.sees('remove_user'), [ann, { reason: 'closed' }]);
  await watcher.listed('ben');
});

test('official clients come back by themselves after a restart, and with a grace nobody saw them leave', async (t) => {
  const { servers: [a, b], restart } = await pair(t, { GRACE: '20s' });
  const kinds = every.filter(({ mode }) => mode !== 'polling');
  const reconnecting = { reconnection: true, reconnectionDelay: 300, reconnectionDelayMax: 600 };
  const users = await Promise.all(kinds.map(async (kind, n) => {
    const client = await connect(t, a.url, { ...kind, ...reconnecting });
    client.user = { id: `u${n}` };
    const register = () => client.socket.emit('register', client.user);
    client.socket.on('connect', register); // as the documentation has applications do
    register();
    return client;
  }));
  const ids = users.map(({ user }) => user.id);
  const watcher = await connect(t, b.url, { version: '4.8.4', mode: 'websocket' });
  await watcher.ask('sync');
  await watcher.until(() => same(watcher.list, ids), 'everybody');

  await a.stop();
  await restart(a);
  await Promise.all(users.map((client) => client.settled()));
  await all(users, ids, 'everybody again');
  // A client that connects last proves that the other events have arrived.
  await users[0].ask('register', { id: 'u0', last: true });
  await watcher.sees('update_user', (user) => user.last);
  assert.deepEqual(watcher.of('remove_user'), []);
  assert.ok(same(watcher.list, ids), `the list: ${JSON.stringify(watcher.list)}`);
});
