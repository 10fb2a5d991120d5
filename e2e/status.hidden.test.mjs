// A hidden user is seen by nobody: not once, in no event, answer or key that
// others may read, on any of three instances.
// HIDDEN_SEED=n repeats a history, HIDDEN_ROUNDS=n makes it longer.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createClient } from 'redis';
import { api, ask, room as roomPath } from './lib/api.mjs';
import { connect, every } from './lib/clients.mjs';
import { startCluster } from './lib/cluster.mjs';
import { seeded } from './lib/random.mjs';
import { BOUND, listen, LeakDetector } from './lib/leak-detector.mjs';
import { until } from './lib/wait.mjs';

const ROOMS = ['lobby', 'other'];
const KINDS = ['both', 'list', 'changes', 'count', 'none'];
const ENV = { EVENTS_PER_SECOND: '0', IDLE_AFTER: '300ms' };
const seed = Number(process.env.HIDDEN_SEED ?? 11);
const rounds = Number(process.env.HIDDEN_ROUNDS ?? 5);
const quiet = { query: { presence: 'none' } };

// setUp is three instances, watched in every way there is.
async function setUp(t, ids) {
  const fleet = await startCluster(t, ['a', 'b', 'c'], ENV);
  const detector = new LeakDetector();
  for (const id of ids) detector.add(id);
  const { servers } = fleet;
  let kinds = 0;
  const next = () => every[kinds++ % every.length];
  const counts = [];
  await Promise.all(servers.map(async (server) => {
    for (const presence of KINDS) {
      const client = await connect(t, server.url, { ...next(), query: { presence } });
      listen(detector, `${presence} at ${server.name}`, client);
      if (presence === 'count') counts.push(client);
      if (presence === 'changes') await client.ask('sync');
    }
    const object = await connect(t, server.url, { ...next(), query: { userId: `watcher-${server.name}` } });
    listen(detector, `userId at ${server.name}`, object);
    const inside = await connect(t, server.url, { ...next(), ...quiet });
    listen(detector, `member at ${server.name}`, inside);
    for (const room of ROOMS) await inside.ask('join', { room, username: `watcher-${server.name}` });
    await inside.ask('watch_stage', { token: 'stage' });
    await inside.ask('watch_race', { race_id: 'race' });
  }));
  const loops = [...await poll(t, fleet, detector, ids), ...await makeNoise(t, servers)];
  // Those who are visible all the time: who makes noise, and who has userId.
  const visible = 6;
  return { fleet, servers, detector, counts, visible, stop: () => Promise.all(loops.map((loop) => loop.stop())) };
}

// A Loop does something over and over until it is stopped, or its test is over.
class Loop {
  #going = true;

  constructor(t, round) {
    t.after(() => { this.#going = false; });
    this.ended = this.#run(round);
    this.ended.catch(() => {}); // stop tells
  }

  async #run(round) {
    while (this.#going) {
      await round();
      await new Promise((resolve) => setTimeout(resolve, 5)); // a pace, nothing is awaited
    }
  }

  stop() {
    this.#going = false;
    return this.ended;
  }
}

// makeNoise has visible users change all the time, so that there is always
// something on its way to everybody.
function makeNoise(t, servers) {
  return Promise.all(servers.map(async (server) => {
    const client = await connect(t, server.url, { version: '4.8.4', mode: 'websocket', ...quiet });
    const id = `noise-${server.name}`;
    let n = 0;
    return new Loop(t, async () => {
      assert.ok((await client.ask('register', { id, n: n++ })).ok);
      await client.ask(n % 2 ? 'join' : 'leave', { room: ROOMS[0], username: id });
    });
  }));
}

// poll asks every instance for everything, and Redis for all public keys, over
// and over.
async function poll(t, { servers, redis }, detector, ids) {
  const http = (server) => async () => {
    const paths = ['online_users', 'online_users/count', ...ROOMS.flatMap((room) => [roomPath(room, 'users'), roomPath(room, 'messages')])];
    for (const path of paths) {
      const asked = Date.now();
      const { status, text } = await api(server, path);
      assert.equal(status, 200, `${path}: ${text}`);
      detector.record(`GET ${path} at ${server.name}`, 'answer', text, { whole: true, asked, strict: server.name });
    }
    const asked = Date.now();
    const metrics = await (await fetch(`${server.url}/metrics`)).text();
    detector.record(`GET /metrics at ${server.name}`, 'answer', metrics, { whole: true, asked, strict: server.name });
    for (const id of ids) await one(server, id);
  };
  // The id is in the answer since it was in the question; online is what matters.
  const one = async (server, id) => {
    const asked = Date.now();
    const { online, status, since } = await ask(server, `users/${id}`);
    const named = online || status !== undefined || since !== undefined;
    detector.record(`GET users/:id at ${server.name}`, id, named ? id : '', { whole: true, asked, strict: server.name });
  };
  const client = createClient({ url: redis.url });
  client.on('error', () => {}); // the end of the test cuts it
  await client.connect();
  t.after(() => client.destroy());
  const keys = async () => {
    const all = new Set(['{rollcall}:users', ...ROOMS.map((room) => `{rollcall}:room:${room}:users`)]);
    for (const key of await client.keys('{rollcall}:room:*:users')) all.add(key);
    for (const key of all) detector.record(`Redis ${key}`, 'hash', await client.hGetAll(key), { whole: true });
    for (const key of ['{rollcall}:online', '{rollcall}:instances']) {
      detector.record(`Redis ${key}`, 'sorted set', await client.zRangeWithScores(key, 0, -1), { whole: true });
    }
  };
  return [...servers.map((server) => new Loop(t, http(server))), new Loop(t, keys)];
}

// everywhere is where somebody who is shown, and in a room, a stage and a race,
// has to be named. To be named there and nowhere after hiding is what the
// detector is for.
const everywhere = (id, room, racing) => ['a', 'b', 'c'].flatMap((name) => [
  ...['both', 'list', 'changes', 'userId'].map((kind) => `${kind} at ${name}: presence`),
  `member at ${name}: room ${room}`,
  ...(racing ? [`member at ${name}: update_stage_stage`, `member at ${name}: race_race_update`] : []),
  `GET online_users at ${name}: answer`,
  `GET ${roomPath(room, 'users')} at ${name}: answer`,
  `GET users/:id at ${name}: ${id}`,
]).concat('Redis {rollcall}:users: hash', 'Redis {rollcall}:online: sorted set', `Redis {rollcall}:room:${room}:users: hash`);

// A HiddenUser shows and hides; all that others could see of the user
// has the id in it.
class HiddenUser {
  constructor(t, id, { servers, detector, random }) {
    Object.assign(this, { t, id, servers, detector, random, tabs: [], names: 0 });
  }

  get user() {
    return { id: this.id, name: `name of ${this.id}`, version: this.names++ };
  }

  any(list) {
    return list[this.random(list.length)];
  }

  async ok(client, event, ...args) {
    const answer = await client.ask(event, ...args);
    assert.ok(answer.ok, `${event}: ${JSON.stringify(answer)}`);
  }

  // open is a further tab; hidden from before it registers, or as the user is.
  async open(server, { hidden = false } = {}) {
    const client = await connect(this.t, server.url, { ...this.any(every), ...quiet });
    if (hidden) await this.ok(client, 'status', 'hidden');
    await this.ok(client, 'register', this.user);
    const tab = { client, server };
    this.tabs.push(tab);
    return tab;
  }

  close(tab) {
    this.tabs.splice(this.tabs.indexOf(tab), 1);
    tab.client.socket.disconnect();
  }

  async show() {
    this.detector.show(this.id);
    if (this.tabs.length === 0) await this.open(this.any(this.servers));
    const { client } = this.any(this.tabs);
    await this.ok(client, 'status', 'active');
    const room = this.any(ROOMS);
    await this.ok(client, 'join', { room, username: `in room ${this.id}` });
    await this.ok(client, 'join_stage', { token: 'stage', ...this.user });
    await this.ok(client, 'add_car', { race_id: 'race', ...this.user });
    await this.detector.seen(this.id, everywhere(this.id, room, true));
    for (let n = this.random(3); n > 0; n--) await this.ok(this.any(this.tabs).client, 'register', this.user);
  }

  async hide() {
    const { client, server } = this.any(this.tabs);
    await this.ok(client, 'status', 'hidden');
    this.detector.hide(this.id, server.name);
    // A client that comes to this instance now has never heard of the user.
    const fresh = await connect(this.t, server.url, { version: '4.8.4', mode: 'websocket' });
    const channel = `who came after ${this.id} at ${server.name}`;
    listen(this.detector, channel, fresh, { newcomer: server.name });
    await fresh.ask('sync');
    await fresh.sees('online_users');
    fresh.socket.disconnect();
    this.detector.end(channel);
    await this.detector.unseen(this.id);
  }

  // act is something that somebody hidden does.
  async act() {
    const { client } = this.any(this.tabs);
    const room = this.any(ROOMS);
    const refused = async (event, data) => {
      const answer = await client.ask(event, { ...data, ...this.user });
      assert.equal(answer.error, 'hidden', JSON.stringify(answer));
    };
    await this.any([
      () => this.ok(client, 'heartbeat'),
      () => this.ok(client, 'sync'),
      () => this.ok(client, 'register', this.user),
      () => this.ok(client, 'status', 'hidden'),
      () => this.ok(client, 'join', { room, username: `again ${this.names++} ${this.id}` }),
      () => this.ok(client, 'join', { room, user: this.user }),
      async () => { await this.ok(client, 'join', { room, username: this.id }); await this.ok(client, 'typing', { room }); },
      async () => { await this.ok(client, 'join', { room, username: this.id }); await this.ok(client, 'leave', { room }); },
      () => refused('join_stage', { token: 'stage' }),
      () => refused('add_car', { race_id: 'race' }),
      () => client.ask('status', 'invisible'),
      () => this.open(this.any(this.servers)), // takes the user's status
      async () => { const tab = await this.open(this.any(this.servers)); await this.ok(tab.client, 'join', { room, username: this.id }); },
      () => { if (this.tabs.length > 1) this.close(this.any(this.tabs)); },
      async () => { // the tab reconnects, perhaps the only one
        const tab = this.any(this.tabs);
        this.close(tab);
        await this.open(tab.server, { hidden: true });
      },
    ])();
  }
}

const hiddenIds = (n) => Array.from({ length: n }, (_, i) => `ghost-${i}-${(0x5eed * (i + 7)).toString(36)}-zq`);

// counted waits until everybody counts those alone who are visible.
async function counted({ counts, servers, visible }) {
  for (const client of counts) {
    await client.until(() => client.of('online_count').at(-1)?.[0] === visible, `a count of ${visible}`);
  }
  for (const server of servers) {
    let count;
    await until(async () => (count = await ask(server, 'online_users/count')).users === visible && count.sockets === visible,
      `a count of ${visible} at ${server.name}`, { show: () => count });
  }
}

test('somebody hidden is named nowhere', async (t) => {
  const ids = hiddenIds(9);
  const all = await setUp(t, ids);
  const { servers, detector, fleet } = all;
  const random = seeded(seed);
  const users = ids.map((id) => new HiddenUser(t, id, { servers, detector, random }));

  // Some are hidden before anybody has seen them.
  for (const [n, user] of users.entries()) {
    if (n % 3) continue;
    detector.hide(user.id, servers[n % 2].name);
    await user.open(servers[n % 2], { hidden: true });
  }
  for (let round = 1; round <= rounds; round++) {
    try {
      for (let n = 0; n < 6; n++) await Promise.all(users.filter(({ tabs }) => tabs.length).map((user) => user.act()));
      await counted(all);
      detector.assertNone();
      for (const user of users) assert.deepEqual(detector.places(user.id), []);
      await Promise.all(users.map((user) => user.show()));
      await counted({ ...all, visible: all.visible + users.length, servers: [] });
      await Promise.all(users.map((user) => user.hide()));
    } catch (failure) {
      throw new Error(`round ${round}, seed ${seed}: ${failure.message}`, { cause: failure });
    }
  }

  // Redis loses everything, and is told again: not of them.
  const wiper = createClient({ url: fleet.redis.url });
  wiper.on('error', () => {}); // the end of the test cuts it
  await wiper.connect();
  t.after(() => wiper.destroy());
  await wiper.flushAll();
  await until(async () => (await wiper.hVals('{rollcall}:users')).length === all.visible, 'the visible in Redis again');
  for (let n = 0; n < 6; n++) await Promise.all(users.map((user) => user.act()));
  await counted(all);
  await all.stop();
  detector.assertNone();
  assert.ok(detector.records > 1000, `only ${detector.records} records`);
});

test('of somebody hidden no activity is remembered', async (t) => {
  const fleet = await startCluster(t, ['a', 'b'], ENV);
  const [a, b] = fleet.servers;
  const last = async (server, id) => ask(server, `users/${id}`);
  const tab = await connect(t, a.url, { version: '4.8.4', mode: 'websocket', ...quiet });

  // A user that was never seen is not remembered at all.
  await tab.ask('status', 'hidden');
  await tab.ask('register', { id: 'never-seen' });
  await tab.ask('heartbeat');
  // A user that was seen is remembered as of then.
  const other = await connect(t, a.url, { version: '2.5.0', mode: 'polling', ...quiet });
  await other.ask('register', { id: 'seen' });
  await until(async () => (await last(b, 'seen')).online, 'the user at b');
  await other.ask('status', 'hidden');
  const hidden = Date.now();
  await until(() => Date.now() > hidden + 20, 'the clock');
  await other.ask('heartbeat');
  await other.ask('register', { id: 'seen', more: true });
  const second = await connect(t, b.url, { version: '3.1.3', mode: 'upgrade', ...quiet });
  // The other instance knows of the hiding before the tab opens there.
  await until(async () => !(await last(b, 'seen')).online, 'the hiding at b');
  await second.ask('register', { id: 'seen' });
  for (const client of [other, second, tab]) client.socket.disconnect();
  // Somebody visible who does the same later is noted: so that was, too, if it ever is.
  const proof = await connect(t, a.url, { version: '4.8.4', mode: 'websocket', ...quiet });
  await proof.ask('register', { id: 'proof' });
  proof.socket.disconnect();
  for (const server of [a, b]) {
    await until(async () => { const { online, last_active: at } = await last(server, 'proof'); return !online && at; }, 'what is remembered of somebody visible');
    assert.deepEqual(await last(server, 'never-seen'), { id: 'never-seen', online: false });
    const seen = await until(async () => { const user = await last(server, 'seen'); return user.last_active && user; }, 'what is remembered of the hidden one');
    assert.equal(seen.online, false);
    assert.ok(seen.last_active <= hidden, `was active ${seen.last_active - hidden} ms after hiding`);
  }
});

// The controls: the detector finds users who are expected to be
// hidden and are not, in every place that there is.
test('control: the detector finds somebody who is not hidden', async (t) => {
  const [never, flicker] = hiddenIds(2);
  const all = await setUp(t, [never, flicker]);
  const { servers, detector } = all;
  const random = seeded(seed);
  const reveal = async (user, room) => {
    const { client } = user.tabs[0];
    await client.ask('status', 'active');
    await client.ask('join', { room, username: user.id });
    await client.ask('join_stage', { token: 'stage', ...user.user });
    await client.ask('add_car', { race_id: 'race', ...user.user });
    const found = () => new Set(detector.leaks.filter((leak) => leak.user === user.id).map(({ key }) => key));
    const missing = () => everywhere(user.id, room, true).filter((key) => !found().has(key));
    await until(() => missing().length === 0, 'a leak everywhere', { show: missing });
  };

  // One who is expected never to be shown.
  const one = new HiddenUser(t, never, { servers, detector, random });
  detector.hide(never, 'a');
  await one.open(servers[0]);
  await reveal(one, 'lobby');

  // Hidden and gone everywhere, and then shown for a moment.
  const two = new HiddenUser(t, flicker, { servers, detector, random });
  await two.open(servers[1]);
  await two.show();
  await two.hide();
  assert.deepEqual(detector.leaks.filter((leak) => leak.user === flicker), []);
  await reveal(two, 'other');
  await two.tabs[0].client.ask('status', 'hidden');
  assert.throws(() => detector.assertNone());

  // A user that stays visible is noticed when the time is over.
  detector.show(never);
  await detector.seen(never, ['both at c: presence']);
  detector.hide(never, 'a');
  await assert.rejects(detector.unseen(never), new RegExp(`waited ${BOUND} ms in vain`));
  await all.stop();
});
