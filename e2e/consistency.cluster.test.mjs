// Two instances on one Redis show the same of everybody: the data registered
// last, and one order of joining. Also after an outage of Redis, and in a storm.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect, every, replay } from './lib/clients.mjs';
import { startCluster } from './lib/cluster.mjs';
import { until } from './lib/wait.mjs';

const ENV = { EVENTS_PER_SECOND: '0' };
const ROOM = 'r';
const kind = (n) => every[n % every.length];

// fetched is what an instance answers, with the ETag.
async function fetched({ url }, path) {
  const answer = await fetch(url + path);
  assert.equal(answer.status, 200);
  return { body: await answer.json(), etag: answer.headers.get('etag') };
}

// alike waits until both instances answer the same, and that is right.
async function alike(servers, path, right) {
  let seen;
  await until(async () => {
    seen = await Promise.all(servers.map((server) => fetched(server, path)));
    return JSON.stringify(seen[0]) === JSON.stringify(seen[1]) && right(seen[0].body);
  }, `the same ${path}`, { show: () => seen });
}

// converge waits until the list, the room and every watcher show these users.
async function converge(servers, watchers, latest) {
  const text = (users) => JSON.stringify(users.map((user) => JSON.stringify(user)).sort());
  await alike(servers, '/api/online_users', (users) => text(users) === text([...latest.values()]));
  await alike(servers, `/api/rooms/${ROOM}/users`, ({ count }) => count === latest.size);
  for (const watcher of watchers) {
    await watcher.until(() => text(replay(watcher.events)) === text([...latest.values()]), 'the same by increments');
  }
}

// watch connects one client to each instance that follows the increments.
async function watch(t, servers) {
  return Promise.all(servers.map(async (server) => {
    const watcher = await connect(t, server.url, { version: '4.8.4', mode: 'websocket', query: { presence: 'changes' } });
    await watcher.ask('sync');
    return watcher;
  }));
}

const tab = (t, server, n) => connect(t, server.url, { ...kind(n), query: { presence: 'none' } });

async function register({ client, id }, n, latest) {
  const user = { id, n };
  assert.deepEqual(await client.ask('register', user), { ok: true });
  latest.set(id, user);
}

test('after an outage of Redis both instances show the data registered last, in one order', async (t) => {
  const { redis, servers } = await startCluster(t, ['a', 'b'], ENV);
  const watchers = await watch(t, servers);
  const latest = new Map();
  // Two tabs of each user, one on each instance.
  const users = await Promise.all(Array.from({ length: 40 }, async (_, n) => (
    Promise.all(servers.map(async (server) => ({ id: `u${n}`, client: await tab(t, server, n) })))
  )));
  for (const [n, tabs] of users.entries()) {
    // Some are there before, and some come during the outage.
    if (n % 2) for (const one of tabs) await register(one, 0, latest);
  }
  await redis.kill();
  for (const turn of [1, 2, 3]) {
    for (const [n, tabs] of users.entries()) {
      const one = tabs[(turn + n) % 2];
      await register(one, turn, latest);
      await one.client.ask('join', { room: ROOM, username: one.id });
    }
  }
  await redis.start();
  await converge(servers, watchers, latest);
  // What is no registration does not bring older data back.
  for (const [n, tabs] of users.entries()) await tabs[n % 2].client.ask('status', 'away');
  for (const [n, tabs] of users.entries()) await tabs[(n + 1) % 2].client.ask('heartbeat');
  await converge(servers, watchers, latest);
});

test('in a storm of tabs on both instances all show the same', async (t) => {
  const { servers } = await startCluster(t, ['a', 'b'], ENV);
  const watchers = await watch(t, servers);
  const users = await Promise.all(Array.from({ length: 60 }, async (_, n) => (
    Promise.all(servers.map(async (server) => ({ id: `u${n}`, client: await tab(t, server, n) })))
  )));
  const all = users.flat();
  const latest = new Map();
  await Promise.all(all.map(async (one) => {
    await one.client.ask('join', { room: ROOM, username: one.id });
    for (let n = 0; n < 3; n++) await register(one, `${one.client.socket.id} ${n}`, new Map());
  }));
  // Which tab was the last is known to nobody else: all instances must agree.
  await alike(servers, '/api/online_users', (list) => list.length === users.length);
  for (const user of (await fetched(servers[0], '/api/online_users')).body) {
    assert.match(user.n, / 2$/, 'the last registration of a tab');
    latest.set(user.id, user);
  }
  await converge(servers, watchers, latest);
});
