// The HTTP API with real clients connected: its answers are what they are told, and
// what it does reaches them on every instance. Its every request and refusal is
// tested in internal/httpapi.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { api, ask, room as roomPath } from './lib/api.mjs';
import { newProfile } from './lib/browser.mjs';
import { connect, every, open } from './lib/clients.mjs';
import { startCluster } from './lib/cluster.mjs';
import { join, member } from './lib/members.mjs';
import { startSite } from './lib/pages.mjs';
import { startProxy } from './lib/proxy.mjs';
import { startTarget } from './lib/target.mjs';
import { PATIENCE, until } from './lib/wait.mjs';

const key = 'the-key-of-these-tests';
const ENV = { API_KEY: key, EVENTS_PER_SECOND: '0' };
const quiet = { query: { presence: 'none' } };
const reconnecting = { reconnection: true, reconnectionDelay: 20, reconnectionDelayMax: 50 };

test('the list is the one that clients get; its tag changes with it', async (t) => {
  const { servers } = await startCluster(t, ['a', 'b', 'c'], ENV);
  const clients = [];
  const users = [{ id: 'ann', name: 'Ann' }, { id: 8, score: 12345678901234567000, deep: { z: [1.5], a: null } }, { name: 'no id: 漢 😀 </script>' }];
  const tags = new Set();
  // round checks that all answers are one, and the same as every client's list.
  const round = async () => {
    const lists = [];
    for (const server of servers) {
      const [client] = clients.filter((one) => one.server === server);
      const first = await api(server, 'online_users');
      assert.equal(first.status, 200);
      assert.match(first.headers.get('content-type'), /^application\/json/);
      const etag = first.headers.get('etag');
      assert.match(etag, /^"[^"]+"$/);
      for (const known of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
        const again = await api(server, 'online_users', { headers: { 'If-None-Match': known } });
        assert.deepEqual([again.status, again.text, again.headers.get('etag')], [304, '', etag], known);
      }
      for (const old of [...tags, '"other"'].filter((tag) => tag !== etag)) {
        assert.equal((await api(server, 'online_users', { headers: { 'If-None-Match': old } })).status, 200, old);
      }
      assert.deepEqual(first.body, client.list);
      assert.deepEqual(await ask(server, 'online_users/count'), { users: first.body.length, sockets: clients.filter((one) => one.user).length });
      lists.push(`${etag} ${first.text}`);
    }
    assert.equal(new Set(lists).size, 1, 'the instances differ');
    tags.add(lists[0].split(' ')[0]);
    return tags.size;
  };
  const same = (list) => Promise.all(servers.flatMap((server) => [
    until(async () => JSON.stringify(await ask(server, 'online_users')) === JSON.stringify(list), `the list at ${server.name}`),
    ...clients.filter((one) => one.server === server).map((client) => client.until(() => JSON.stringify(client.list) === JSON.stringify(list), 'the list')),
  ]));
  for (const [n, server] of servers.entries()) {
    const client = await connect(t, server.url, every[n * 5]);
    client.server = server;
    clients.push(client);
    await client.ask('sync');
  }
  await same([]);
  assert.equal(await round(), 1);
  for (const [n, client] of clients.entries()) {
    client.user = users[n];
    assert.ok((await client.ask('register', client.user)).ok);
    await same(users.slice(0, n + 1));
    assert.equal(await round(), n + 2, 'the tag is new');
  }
  // A further tab of ann: the list and its tag stay, a socket more.
  const tab = await connect(t, servers[2].url, { ...every[2], ...quiet });
  Object.assign(tab, { server: servers[2], user: users[0] });
  await tab.ask('register', users[0]);
  clients.push(tab);
  await until(async () => (await Promise.all(servers.map((server) => ask(server, 'online_users/count')))).every(({ sockets }) => sockets === 4), 'four sockets');
  assert.equal(await round(), 4);
  clients.pop();
  tab.socket.disconnect();
  clients[0].user = undefined;
  await clients[0].ask('unregister');
  await same(users.slice(1));
  await until(async () => (await Promise.all(servers.map((server) => ask(server, 'online_users/count')))).every(({ sockets }) => sockets === 2), 'two sockets');
  assert.equal(await round(), 5);
});

test('signing out closes every tab of every version on every instance at once, for good', async (t) => {
  const { servers } = await startCluster(t, ['a', 'b', 'c'], { ...ENV, PING_INTERVAL: '3m' });
  const ann = { id: 'ann/ä', name: 'Ann' };
  const path = `users/${encodeURIComponent(ann.id)}`;
  const watchers = await Promise.all(servers.map((server, n) => member(t, server.url, every[n * 4])));
  for (const [n, watcher] of watchers.entries()) {
    await watcher.ask('register', { id: `watcher ${n}` });
    await join(watcher, 'lobby', { username: `watcher ${n}` });
    for (const other of watchers) await other.listed(...watchers.slice(0, n + 1).map((_, i) => `watcher ${i}`));
  }

  // Every kind on every instance, and the two browser builds; all would come back.
  const tabs = await Promise.all(servers.flatMap((server) => every.map(async (kind) => {
    const client = await connect(t, server.url, { ...kind, ...quiet, ...reconnecting });
    client.connects = 0;
    client.socket.on('connect', () => { client.connects++; });
    client.socket.on('disconnect', () => { client.ended = Date.now(); });
    client.socket.io.on('reconnect_attempt', () => { client.attempts = (client.attempts ?? 0) + 1; });
    assert.ok((await client.ask('register', ann)).ok);
    return client;
  })));
  await tabs[0].ask('join', { room: 'lobby', username: 'Ann' });
  // Nobody is told of a user who comes and goes between two flushes.
  for (const watcher of watchers) {
    await watcher.sees('add_user', ({ id }) => id === ann.id);
    await watcher.until(() => watcher.rooms.get('lobby').users.includes('Ann'), 'Ann in the lobby');
  }
  const pages = await Promise.all(['1.3', '4.8'].map(async (version, n) => {
    const site = await startSite(t, servers[n]);
    const profile = await newProfile(t);
    const page = await profile.context.newPage();
    await page.goto(site.page(version, ann, { reconnectionDelay: 20, reconnectionDelayMax: 50 }), { waitUntil: 'commit' });
    await page.waitForFunction(() => window.transport?.() === 'websocket');
    return page;
  }));
  const sockets = tabs.length + pages.length;
  for (const server of servers) {
    await until(async () => (await ask(server, 'online_users/count')).sockets === sockets + watchers.length, `all tabs at ${server.name}`);
  }
  // The control comes back when its connection is cut, so that its delay is over.
  const proxy = await startProxy(t, servers[2].port);
  const control = open(t, proxy.url, { version: '4.8.4', mode: 'websocket', ...quiet, ...reconnecting });
  await control.settled();

  // Not without the key.
  for (const wrong of [undefined, 'another key', '']) {
    const { status, body } = await api(servers[1], path, { method: 'DELETE', key: wrong });
    assert.deepEqual([status, body.error], [401, 'unauthorized']);
  }
  assert.ok(tabs.every(({ socket }) => socket.connected));

  const marks = watchers.map((watcher) => watcher.events.length);
  const began = Date.now();
  assert.deepEqual(await ask(servers[1], path, { method: 'DELETE', key }), { id: ann.id, sockets });
  await Promise.all(tabs.map((client) => client.until(() => client.ended, 'the end')));
  await Promise.all(pages.map((page) => page.waitForFunction(() => window.log.some(([event]) => event === 'disconnect'))));
  const took = Math.max(...tabs.map(({ ended }) => ended)) - began;
  assert.ok(took < PATIENCE, `it took ${took} ms`); // no ping, timeout or poll is waited for
  for (const client of tabs) {
    assert.deepEqual(client.events.filter(({ event }) => event !== 'user_list').map(({ event, args }) => [event, ...args]),
      [['signed_out'], ['disconnect', 'io server disconnect']], client.name);
  }
  for (const [n, watcher] of watchers.entries()) {
    assert.deepEqual(await watcher.sees('remove_user', () => true, marks[n]), [ann, { reason: 'signed_out' }]);
    await watcher.listed('watcher 0', 'watcher 1', 'watcher 2');
    await watcher.until(() => watcher.of('user_left').length === 1, 'user_left');
    assert.deepEqual(watcher.rooms.get('lobby').users, ['watcher 0', 'watcher 1', 'watcher 2']);
    assert.deepEqual(watcher.faults, []);
    const { last_active: at, ...rest } = await ask(servers[n], path);
    assert.deepEqual(rest, { id: ann.id, online: false });
    assert.ok(at <= Date.now());
  }

  for (let n = 0; n < 3; n++) {
    const before = control.socket.id;
    proxy.cut();
    await control.until(() => control.socket.connected && control.socket.id !== before, 'the control to come back');
  }
  for (const client of tabs) {
    assert.deepEqual([client.socket.connected, client.connects, client.attempts], [false, 0, undefined], client.name);
  }
  for (const page of pages) {
    const log = await page.evaluate(() => window.log.filter(([event]) => /connect/.test(event)).map(([event]) => event));
    assert.deepEqual(log, ['connect', 'disconnect']);
    assert.deepEqual(await page.evaluate(() => window.log.at(-1)), ['disconnect', 'io server disconnect']);
  }
  for (const server of servers) assert.deepEqual(await ask(server, 'online_users/count'), { users: 3, sockets: 3 });

  // Who signs in again is welcome.
  const again = await connect(t, servers[0].url, { version: '2.5.0', mode: 'upgrade', ...quiet });
  await again.ask('register', ann);
  await Promise.all(watchers.map((watcher) => watcher.listed('watcher 0', 'watcher 1', 'watcher 2', ann.id)));
});

test('signing out ends the sessions of one user, shown or hidden, by the id as text', async (t) => {
  const { servers } = await startCluster(t, ['a', 'b'], ENV);
  const client = async (server, user, status) => {
    const one = await connect(t, server.url, { version: '4.8.4', mode: 'websocket', ...quiet });
    if (status) await one.ask('status', status);
    if (user) assert.ok((await one.ask('register', user)).ok);
    return one;
  };
  const [a, b] = servers;
  const clients = {
    number: await client(a, { id: 7 }), text: await client(b, { id: '7' }), other: await client(a, { id: '07' }),
    hidden: await client(b, { id: 'hidden' }, 'hidden'), nobody: await client(b), nameless: await client(b, { name: 'x' }),
    left: await client(a, { id: 'left' }),
  };
  await clients.left.ask('unregister');
  const gone = (...names) => Promise.all(names.map((name) => clients[name].sees('signed_out')));
  await until(async () => (await ask(a, 'online_users')).length === 3, 'the list at a'); // 7, 07, nameless
  for (const [id, sockets, ...names] of [
    ['7', 2, 'number', 'text'], ['hidden', 1, 'hidden'], [clients.nameless.socket.id, 1, 'nameless'],
    ['left', 0], ['unknown', 0], [clients.nobody.socket.id, 0],
  ]) {
    const answer = await ask(a, `users/${encodeURIComponent(id)}`, { method: 'DELETE', key });
    assert.deepEqual(answer, { id, sockets });
    await gone(...names);
  }
  // The same user elsewhere proves that it has been heard of everywhere.
  for (const name of ['other', 'nobody', 'left']) {
    assert.equal((await clients[name].ask('heartbeat')).ok, true);
    assert.deepEqual(clients[name].events, [], name);
  }
  const without = await startTarget(t);
  for (const [path, options] of [['users/7', { method: 'DELETE', key }], ['emit', { method: 'POST', key, body: { event: 'x' } }]]) {
    const { status, body } = await api(without, path, options);
    assert.deepEqual([status, body.error], [403, 'no_api_key']);
  }
});

test('emit reaches everybody, a room or a user, on every instance, in order', async (t) => {
  const { servers } = await startCluster(t, ['a', 'b', 'c'], ENV);
  const clients = await Promise.all(servers.flatMap((server, place) => every.map(async (kind, n) => {
    const client = await connect(t, server.url, { ...kind, ...quiet });
    client.name += ` at ${server.name}`;
    client.notes = [];
    for (const event of ['notice', 'last', 'user_list']) client.socket.on(event, (...args) => client.notes.push([event, ...args]));
    // Some are user 5, some in a room, some both, some neither; on each instance.
    client.five = (n + place) % 3 === 0;
    client.inside = (n + place) % 4 === 0;
    if (client.five) assert.ok((await client.ask('register', { id: n % 2 ? 5 : '5' })).ok);
    if (client.inside) assert.ok((await client.ask('join', { room: '__proto__ 😀', username: 'x' })).ok);
    return client;
  })));
  await until(async () => (await Promise.all(servers.map((server) => ask(server, 'online_users/count')))).every(({ sockets }) => sockets === 12), 'all of user 5');
  await Promise.all(clients.map((client) => client.until(() => !client.inside || client.notes.length, 'user_list')));

  const emit = (server, body) => ask(server, 'emit', { method: 'POST', key, body });
  const heard = (client) => client.until(() => client.notes.some(([event]) => event === 'last'), 'the last event', { show: () => client.notes })
    .then(() => client.notes.splice(0).filter(([event]) => event === 'notice'));
  const cases = [
    ['everybody', { to: null }, () => true],
    ['everybody, not said', {}, () => true],
    ['a user by number', { to: { user: 5 } }, (c) => c.five],
    ['a user by text', { to: { user: '5' } }, (c) => c.five],
    ['a room', { to: { room: '__proto__ 😀' } }, (c) => c.inside],
    ['another user', { to: { user: '05' } }, () => false],
    ['another room', { to: { room: '__proto__' } }, () => false],
    ['a room named like the user\'s', { to: { room: 'user:5' } }, () => false],
    ['a room named like a socket', { to: { room: clients[0].socket.id } }, () => false],
    ['a user named like a socket', { to: { user: clients[0].socket.id } }, () => false],
  ];
  const values = [1, -0.5, 'text', '', null, true, [], {}, { z: [1, { a: '漢 😀 \u2028' }], __proto__: null, 5: 6 }];
  for (const server of servers) {
    for (const [what, to, who] of cases) {
      assert.deepEqual(await emit(server, { event: 'notice', args: [what, ...values], ...to }), { ok: true });
      await emit(server, { event: 'last' });
      await Promise.all(clients.map(async (client) => assert.deepEqual(await heard(client),
        who(client) ? [['notice', what, ...JSON.parse(JSON.stringify(values))]] : [], `${what} from ${server.name}: ${client.name}`)));
    }
    // Refused: nobody hears.
    for (const [body, code] of [
      [[], 'bad_json'], [{}, 'bad_event'], [{ event: '' }, 'bad_event'], [{ event: 'disconnect' }, 'bad_event'], [{ event: 7 }, 'bad_event'],
      [{ event: 'notice', args: {} }, 'bad_args'], [{ event: 'notice', to: {} }, 'bad_to'], [{ event: 'notice', to: 'everybody' }, 'bad_to'],
      [{ event: 'notice', to: { user: null } }, 'bad_to'], [{ event: 'notice', to: { room: 'x', user: 5 } }, 'bad_to'],
    ]) {
      const answer = await api(server, 'emit', { method: 'POST', key, body });
      assert.deepEqual([answer.status, answer.body.error], [400, code], JSON.stringify(body));
    }
    assert.equal((await api(server, 'emit', { method: 'POST', body: { event: 'notice' } })).body.error, 'unauthorized');
    const large = await api(server, 'emit', { method: 'POST', key, body: { event: 'notice', args: ['x'.repeat(100_000)] } });
    assert.deepEqual([large.status, large.body.error], [413, 'too_large']);
    for (let n = 0; n < 20; n++) await emit(server, { event: 'notice', args: [n] });
    await emit(server, { event: 'last' });
    await Promise.all(clients.map(async (client) => assert.deepEqual(await heard(client), Array.from({ length: 20 }, (_, n) => ['notice', n]), client.name)));
  }
});

test('what HTTP says of a room is what its members know, wherever it is asked', async (t) => {
  const { servers } = await startCluster(t, ['a', 'b', 'c'], ENV);
  const clients = await Promise.all(servers.map((server, n) => member(t, server.url, every[n * 5])));
  const room = 'a/b ?#%2F 漢';
  for (const [n, client] of clients.entries()) await join(client, room, { username: `name ${n}` });
  for (const client of clients) await client.until(() => client.rooms.get(room).users.length === 3, 'all names');
  for (const [n, client] of clients.entries()) await client.ask('message', { room, content: `message ${n}` });
  for (const client of clients) await client.until(() => client.rooms.get(room).said.length === 3, 'all messages');
  for (const [n, server] of servers.entries()) {
    await until(async () => (await ask(server, roomPath(room, 'messages'))).length === 3, 'the messages');
    assert.deepEqual(await ask(server, roomPath(room, 'messages')), clients[n].rooms.get(room).said);
    assert.deepEqual(await ask(server, roomPath(room, 'users')), { room, users: clients[n].rooms.get(room).users, count: 3 });
    assert.deepEqual(await ask(server, roomPath('nobody there', 'users')), { room: 'nobody there', users: [], count: 0 });
    const long = await api(server, roomPath('x'.repeat(129), 'users'));
    assert.deepEqual([long.status, long.body.error], [400, 'bad_room']);
  }
});

// blankSite is an origin with an empty page.
async function blankSite(t) {
  const site = createServer((_, response) => response.setHeader('Content-Type', 'text/html').end('<!doctype html><link rel="icon" href="data:,">'));
  await new Promise((resolve) => site.listen(0, '127.0.0.1', resolve));
  t.after(() => new Promise((resolve) => {
    site.close(resolve);
    site.closeAllConnections();
  }));
  return `http://localhost:${site.address().port}`;
}

test('pages of allowed origins may ask, in a real browser, others may not', async (t) => {
  const [allowed, foreign] = [await blankSite(t), await blankSite(t)];
  const [server, open] = await Promise.all([startTarget(t, { ...ENV, CORS_ORIGINS: allowed }), startTarget(t, ENV)]);
  const clients = await Promise.all([server, open].map(async (one) => {
    const client = await connect(t, one.url, { version: '4.8.4', mode: 'websocket', ...quiet });
    client.notices = [];
    client.socket.on('notice', (origin) => client.notices.push(origin));
    await client.ask('register', { id: 7 });
    return client;
  }));
  const profile = await newProfile(t, { expected: [/blocked by CORS policy|Failed to load resource/] });

  // visit is what a page of an origin gets from a server.
  const visit = async (origin, { url }) => {
    const page = await profile.open(`${origin}/healthz`); // any page of the origin
    return page.evaluate(async ([base, apiKey]) => {
      const attempt = async (path, options) => {
        try {
          const answer = await fetch(`${base}/api/${path}`, options);
          return { status: answer.status, tag: answer.headers.get('ETag') !== null, body: await answer.json() };
        } catch (error) {
          return error.name;
        }
      };
      const headers = { Authorization: `Bearer ${apiKey}`, 'Content-Type': 'application/json' };
      return {
        list: await attempt('online_users'),
        room: await attempt('rooms/lobby/users'),
        missing: await attempt('nothing'),
        noKey: await attempt('emit', { method: 'POST', body: '{"event":"notice"}' }), // no preflight
        emit: await attempt('emit', { method: 'POST', headers, body: JSON.stringify({ event: 'notice', args: [location.origin] }) }),
        signOut: await attempt('users/nobody', { method: 'DELETE', headers }),
      };
    }, [url, key]);
  };
  const welcome = (got) => {
    assert.deepEqual(got.list, { status: 200, tag: true, body: [{ id: 7 }] });
    assert.deepEqual(got.room.body, { room: 'lobby', users: [], count: 0 });
    assert.deepEqual([got.missing.status, got.missing.body.error], [404, 'not_found']);
    assert.deepEqual([got.noKey.status, got.noKey.body.error], [401, 'unauthorized']);
    assert.deepEqual(got.emit.body, { ok: true });
    assert.deepEqual(got.signOut.body, { id: 'nobody', sockets: 0 });
  };
  welcome(await visit(allowed, server));
  welcome(await visit(server.url, server)); // its own pages
  const refused = await visit(foreign, server);
  for (const [what, got] of Object.entries(refused)) assert.equal(got, 'TypeError', what);
  welcome(await visit(foreign, open)); // by default all are
  for (const [n, client] of clients.entries()) await client.until(() => client.notices.length >= 2 - n, 'the notices');
  for (const client of clients) await client.ask('heartbeat');
  assert.deepEqual(clients.map(({ notices }) => notices), [[allowed, server.url], [foreign]]);
  assert.deepEqual(profile.faults, []);

  // What the browser was told; programs that are no browser are not stopped by it.
  const answer = await api(server, 'online_users', { headers: { Origin: foreign } });
  assert.deepEqual([answer.status, answer.body.error, answer.headers.get('access-control-allow-origin')], [403, 'forbidden_origin', null]);
  assert.equal((await api(server, 'online_users')).status, 200);
});
