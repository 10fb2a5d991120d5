// Active and away, as each client version sees them; by choice and by doing
// nothing. Hidden users are in status.hidden.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ask } from './lib/api.mjs';
import { connect, covering, every } from './lib/clients.mjs';
import { startCluster } from './lib/cluster.mjs';
import { startTarget } from './lib/target.mjs';
import { until } from './lib/wait.mjs';

const ann = { id: 'ann', name: 'Ann' };
const ben = { id: 'ben', name: 'Ben' };
const IDLE = 400; // ms
const watching = { version: '4.8.4', mode: 'websocket' };

const ok = async (client, event, ...args) => {
  const answer = await client.ask(event, ...args);
  assert.equal(answer.ok, true, `${event}: ${JSON.stringify(answer)}`);
  return answer;
};
const user = (server, id) => ask(server, `users/${id}`);
const status = async (server, id) => (await user(server, id)).status;

// saysOf waits until a watcher was told, since a mark, that a user has a status: by
// update_user, or by add_user if the user came with it.
const saysOf = (watcher, id, what, since = 0) => watcher.until(() => watcher.events.slice(since).some(
  ({ event, args: [data, more] }) => /^(add|update)_user$/.test(event) && data.id === id && (more?.status ?? 'active') === what), `${id} is ${what}`);

// asksUntil repeats an event until a condition holds: a user who is active and away
// again between two flushes is nobody's business.
async function asksUntil(client, done, event, ...args) {
  let over = false;
  const end = done().finally(() => { over = true; });
  while (!over) await client.ask(event, ...args);
  await end;
}

for (const kind of covering) {
  describe(`status, client ${kind.version} ${kind.mode}`, { concurrency: 2 }, () => {
    const pair = async (t, env) => {
      const server = await startTarget(t, env);
      const clients = await Promise.all([1, 2].map(() => connect(t, server.url, kind)));
      return [server, ...clients];
    };

    test('a choice is told to the others, and any event ends being away', async (t) => {
      const [server, one, two] = await pair(t);
      await ok(one, 'register', ann);
      await ok(two, 'register', ben);
      await two.listed('ann', 'ben');
      assert.deepEqual(two.of('add_user'), [[ann], [ben]]); // no further argument for an active user
      assert.deepEqual(two.of('online_users').at(-1), [[ann, ben]]);

      assert.deepEqual(await one.ask('status', 'away'), { ok: true, status: 'away' });
      assert.deepEqual(await two.sees('update_user'), [ann, { status: 'away' }]);
      assert.equal(await status(server, 'ann'), 'away');
      await ok(two, 'sync');
      await two.sees('online_users', (list, statuses) => JSON.stringify([list, statuses]) === JSON.stringify([[ann, ben], { ann: 'away' }]));
      // A client that comes now is told so.
      const late = await connect(t, server.url, kind);
      await ok(late, 'sync');
      assert.deepEqual(await late.sees('online_users'), [[ann, ben], { ann: 'away' }]);

      await ok(one, 'heartbeat');
      await two.sees('update_user', (data, more) => data.id === 'ann' && more?.status === 'active');
      assert.deepEqual(two.of('update_user'), [[ann, { status: 'away' }], [ann, { status: 'active' }]]);
      assert.equal(await status(server, 'ann'), 'active');

      // Changed data alone says nothing of a status.
      await ok(one, 'register', { ...ann, more: 1 });
      assert.deepEqual(await two.sees('update_user', (data) => data.more), [{ ...ann, more: 1 }]);
      await ok(one, 'status', 'away');
      await ok(one, 'status', 'active');
      assert.equal(await status(server, 'ann'), 'active');
    });

    test('hidden is gone for the others, and sees them', async (t) => {
      const [server, one, two] = await pair(t);
      await ok(one, 'register', ann);
      await ok(two, 'register', ben);
      await two.listed('ann', 'ben');
      assert.deepEqual(await one.ask('status', 'hidden'), { ok: true, status: 'hidden' });
      assert.deepEqual(await two.sees('remove_user'), [ann, { reason: 'hidden' }]);
      await two.listed('ben');
      await one.listed('ben');
      assert.equal((await user(server, 'ann')).online, false);
      await ok(one, 'heartbeat'); // ends nothing
      await ok(one, 'register', { ...ann, more: 1 });
      await ok(two, 'register', { ...ben, more: 2 });
      await one.sees('update_user', (data) => data.more === 2);
      assert.equal(two.of('add_user').length, 2);
      await ok(one, 'status', 'active');
      await two.sees('add_user', (data) => data.more === 1);
      await two.listed('ben', 'ann'); // at the end: nobody was told of the time before
      // From hidden to away: comes as away.
      await ok(one, 'status', 'hidden');
      await two.listed('ben');
      await ok(one, 'status', 'away');
      assert.deepEqual(await two.sees('add_user', (data, more) => more), [{ ...ann, more: 1 }, { status: 'away' }]);
    });

    test('a status before registering, after unregistering, and as somebody else', async (t) => {
      const [server, one, two] = await pair(t);
      assert.deepEqual(await one.ask('heartbeat'), { ok: true }); // of nobody
      await ok(one, 'status', 'hidden');
      await ok(one, 'register', ann);
      await ok(two, 'register', ben);
      await one.listed('ben');
      await ok(one, 'register', { id: 'ada' }); // as somebody else: active
      await two.listed('ben', 'ada');
      await ok(one, 'status', 'hidden');
      await two.listed('ben');
      await ok(one, 'unregister');
      await ok(one, 'register', { id: 'amy' });
      await two.listed('ben', 'amy');
      assert.equal(await status(server, 'amy'), 'active');
      assert.ok(!JSON.stringify(two.events).includes('ann'), 'ann was named');
    });

    test('hidden in a room without being registered', async (t) => {
      const [server, one, two] = await pair(t);
      const inRoom = async (...names) => assert.deepEqual((await ask(server, 'rooms/lobby/users')).users, names);
      await ok(two, 'join', { room: 'lobby', username: 'Ben' });
      await two.sees('user_list');
      await ok(one, 'status', 'hidden');
      await ok(one, 'join', { room: 'lobby', username: 'Ann' });
      assert.deepEqual(await one.sees('user_list'), [{ room: 'lobby', users: ['Ben'], count: 1 }]);
      await inRoom('Ben');
      await ok(one, 'typing', { room: 'lobby' });
      await ok(one, 'status', 'active');
      assert.deepEqual(await two.sees('user_joined'), [{ room: 'lobby', username: 'Ann', users: ['Ben', 'Ann'], count: 2 }]);
      await ok(one, 'status', 'hidden');
      assert.deepEqual(await two.sees('user_left'), [{ room: 'lobby', username: 'Ann', users: ['Ben'], count: 1 }]);
      await inRoom('Ben');
      assert.deepEqual(two.events.map(({ event }) => event).filter((event) => /^user_|typing/.test(event)), ['user_list', 'user_joined', 'user_left']);
    });

    test('refusals change nothing', async (t) => {
      const [server, one, two] = await pair(t, { EVENTS_PER_SECOND: '0' });
      await ok(one, 'register', ann);
      await ok(one, 'status', 'away');
      for (const wrong of ['', 'Active', 'offline', null, 7, true, [], ['active'], {}, { status: 'active' }]) {
        const answer = await one.ask('status', wrong);
        assert.deepEqual([answer.ok, answer.error], [false, 'bad_status'], JSON.stringify(wrong));
      }
      assert.equal((await one.ask('status')).error, 'bad_status');
      one.socket.emit('status', 'gone');
      const [error] = await one.sees('rollcall_error');
      assert.deepEqual([error.event, error.error], ['status', 'bad_status']);
      assert.equal(await status(server, 'ann'), 'away');
      await ok(two, 'sync');
      assert.equal(two.of('add_user').length, 1);
    });
  });
}

test('a user without events is away, and active again with any event but two', async (t) => {
  const server = await startTarget(t, { IDLE_AFTER: `${IDLE}ms`, EVENTS_PER_SECOND: '0' });
  const watcher = await connect(t, server.url, watching);
  const clients = await Promise.all(every.map((kind) => connect(t, server.url, { ...kind, query: { presence: 'none' } })));
  const events = [
    ['heartbeat'], ['sync'], ['join', { room: 'lobby' }], ['leave', { room: 'lobby' }], ['typing', { room: 'x' }],
    ['message', { room: 'x', content: 'y' }], ['invite', { id: 'nobody' }], ['join_stage', { token: 's', id: 1 }],
    ['add_car', { race_id: 'r' }], ['watch_stage', { token: 's' }], ['watch_race', { race_id: 'r' }],
    ['register', (n) => ({ id: `u${n}`, again: true })],
  ];
  assert.equal(events.length, clients.length);
  const ids = clients.map((_, n) => `u${n}`);
  const began = Date.now();
  await Promise.all(clients.map((client, n) => ok(client, 'register', { id: ids[n] })));
  await Promise.all(ids.map((id) => saysOf(watcher, id, 'away')));
  assert.ok(Date.now() - began >= IDLE - 2, 'away too soon');
  for (const id of ids) assert.equal(await status(server, id), 'away');
  await ok(watcher, 'sync');
  await watcher.sees('online_users', (list, statuses) => ids.every((id) => statuses?.[id] === 'away'));

  const mark = watcher.events.length;
  await Promise.all(clients.map(async (client, n) => {
    const [event, ...args] = events[n];
    const told = () => saysOf(watcher, ids[n], 'active', mark);
    await asksUntil(client, told, event, ...args.map((arg) => (typeof arg === 'function' ? arg(n) : arg))); // refused or not
  }));

  // status and unregister say nothing of doing something: refused, the one leaves away.
  await Promise.all(ids.map((id) => until(async () => (await status(server, id)) === 'away', `${id} away again`)));
  const before = watcher.events.length;
  await ok(watcher, 'sync'); // behind all that was told before
  await watcher.sees('online_users', (list, statuses) => ids.every((id) => statuses?.[id] === 'away'), before);
  const later = watcher.events.length;
  await clients[0].ask('status', 'no status');
  await ok(clients[1], 'unregister');
  await watcher.sees('remove_user', (data) => data.id === 'u1');
  assert.equal(await status(server, 'u0'), 'away');
  assert.ok(!watcher.events.slice(later).some(({ event, args }) => event === 'update_user' && args[1]?.status === 'active'));
});

test('IDLE_AFTER=0: nobody is away by doing nothing', async (t) => {
  const [never, soon] = await Promise.all(['0', `${IDLE}ms`].map((after) => startTarget(t, { IDLE_AFTER: after })));
  const watchers = await Promise.all([never, soon].map(async (server) => {
    const client = await connect(t, server.url, watching);
    await ok(client, 'register', ann);
    return client;
  }));
  await saysOf(watchers[1], 'ann', 'away');
  assert.equal(watchers[0].of('update_user').length, 0);
  assert.equal(await status(never, 'ann'), 'active');
});

const SHARED_IDLE = 2000; // ms
const CLUSTER = { IDLE_AFTER: `${SHARED_IDLE}ms`, EVENTS_PER_SECOND: '0' };

// observed is two instances, a watcher on each, and a user with a tab on each.
async function observed(t, env = CLUSTER) {
  const fleet = await startCluster(t, ['a', 'b'], env);
  const watchers = await Promise.all(fleet.servers.map((server) => connect(t, server.url, watching)));
  const tabs = [];
  for (const [n, server] of fleet.servers.entries()) {
    const tab = await connect(t, server.url, { ...every[n * 7], query: { presence: 'none' } });
    await ok(tab, 'register', ann);
    await Promise.all(watchers.map((watcher) => watcher.listed('ann')));
    tabs.push(tab);
  }
  const everywhere = (what) => Promise.all(fleet.servers.map((server) => until(
    async () => (await status(server, 'ann')) === what, `ann ${what} at ${server.name}`)));
  return { fleet, servers: fleet.servers, watchers, tabs, everywhere };
}

test('two tabs on two instances: one that does something keeps the user active', async (t) => {
  const { watchers, tabs, everywhere } = await observed(t);
  for (const busy of tabs) {
    await asksUntil(busy, () => everywhere('active'), 'heartbeat');
    let marks;
    await until(async () => {
      await ok(watchers[0], 'sync'); // behind what was told of becoming active
      await ok(watchers[1], 'sync');
      marks = watchers.map((watcher) => watcher.events.length);
      const [began, told] = [Date.now(), () => watchers.flatMap((watcher, n) => watcher.events.slice(marks[n]).filter(({ event }) => event === 'update_user'))];
      let [last, longest] = [began, 0];
      while (Date.now() < began + 2 * SHARED_IDLE) {
        await ok(busy, 'heartbeat');
        longest = Math.max(longest, Date.now() - last);
        last = Date.now();
      }
      if (longest > SHARED_IDLE / 4) return false; // this machine was idle, not the user
      assert.deepEqual(told(), []);
      return true;
    }, 'some time of doing something in one tab');
    // Then both are idle.
    await Promise.all(watchers.map((watcher, n) => watcher.sees('update_user', (_, more) => more?.status === 'away', marks[n])));
    await everywhere('away');
    const away = watchers.map((watcher) => watcher.events.length);
    await asksUntil(busy, () => Promise.all(watchers.map((watcher, n) => saysOf(watcher, 'ann', 'active', away[n]))), 'sync');
  }
});

test('a choice in one tab is the user\'s, on every instance', async (t) => {
  const { watchers, tabs, servers, everywhere } = await observed(t, { EVENTS_PER_SECOND: '0' });
  await ok(tabs[0], 'status', 'away');
  await everywhere('away');
  await ok(tabs[1], 'heartbeat');
  await everywhere('active');
  let shown = ann; // what the latest registration said
  for (const [chooser, other] of [tabs, [...tabs].reverse()]) {
    const marks = watchers.map((watcher) => watcher.events.length);
    await ok(chooser, 'status', 'hidden');
    for (const [n, watcher] of watchers.entries()) assert.deepEqual(await watcher.sees('remove_user', (data) => data.id === 'ann', marks[n]), [shown, { reason: 'hidden' }]);
    // A further tab is as hidden as the others.
    const further = await connect(t, servers[1].url, { ...watching, query: { presence: 'none' } });
    await ok(further, 'register', ann);
    shown = { ...ann, again: true };
    await ok(other, 'register', shown);
    // A user that comes afterwards, on either instance, proves that nothing else came.
    for (const server of servers) {
      const proof = await connect(t, server.url, { ...watching, query: { presence: 'none' } });
      await ok(proof, 'register', { id: `proof ${server.name}` });
      await Promise.all(watchers.map((watcher, n) => watcher.sees('add_user', (data) => data.id === `proof ${server.name}`, marks[n])));
      proof.socket.disconnect();
    }
    for (const [n, watcher] of watchers.entries()) {
      assert.equal(watcher.events.slice(marks[n]).filter(({ event, args }) => event !== 'online_users' && args[0].id === 'ann').length, 1);
    }
    await ok(other, 'status', 'active');
    await Promise.all(watchers.map((watcher, n) => watcher.sees('add_user', (data) => data.id === 'ann', marks[n])));
    await everywhere('active');
    further.socket.disconnect();
  }
});

// OFF is by how much an instance may misjudge the clock of Redis, in ms: by half a
// round trip, which is long on a busy machine.
const OFF = 5_000;

test('last_active is remembered over disconnects, and over a restart of all instances', async (t) => {
  const fleet = await startCluster(t, ['a', 'b'], { EVENTS_PER_SECOND: '0' });
  const recall = (id, test) => Promise.all(fleet.servers.map((server) => until(async () => {
    const answer = await user(server, id);
    return test(answer) && answer;
  }, `what ${server.name} remembers of ${id}`)));
  const before = Date.now();
  const client = await connect(t, fleet.servers[0].url, { version: '1.7.4', mode: 'websocket' });
  await ok(client, 'register', { id: 7 });
  const online = await recall('7', (answer) => answer.online);
  for (const { since, last_active: at, ...rest } of online) {
    assert.deepEqual(rest, { id: '7', online: true, status: 'active' });
    assert.ok(since >= before - OFF && since <= Date.now() + OFF, `since ${since}, from ${before} on`);
    assert.ok(at >= since - 1 && at <= Date.now() + OFF, `last_active ${at}, since ${since}`);
  }
  // Several times within a second: the last one counts, too.
  let active;
  for (let n = 0; n < 4; n++) {
    const last = Date.now();
    await until(() => Date.now() > last + 20, 'the clock');
    active = Date.now();
    await ok(client, 'heartbeat');
  }
  const acked = Date.now();
  client.socket.disconnect();
  // It is noted within a second, for all.
  const gone = await recall('7', (answer) => !answer.online && answer.last_active >= active);
  for (const answer of gone) {
    assert.ok(answer.last_active <= acked + OFF, `${answer.last_active}, ${answer.last_active - acked} ms after the last heartbeat`);
    assert.deepEqual(answer, { id: '7', online: false, last_active: gone[0].last_active });
  }
  const [{ last_active: remembered }] = gone;
  assert.deepEqual(await user(fleet.servers[1], 'nobody'), { id: 'nobody', online: false });

  // Cut off is as good as gone.
  const killed = await connect(t, fleet.servers[1].url, { version: '4.8.4', mode: 'polling' });
  await ok(killed, 'register', { id: 'cut' });
  const [{ last_active: cut }] = await recall('cut', (answer) => answer.online && answer.last_active);
  await recall('cut', (answer) => answer.last_active >= cut);
  killed.engine.close();
  await recall('cut', (answer) => !answer.online && answer.last_active >= cut);

  await Promise.all(fleet.servers.map((server) => fleet.stop(server)));
  await Promise.all(['a', 'b'].map((name) => fleet.start(name)));
  for (const server of fleet.servers) assert.deepEqual(await user(server, '7'), { id: '7', online: false, last_active: remembered });
  await recall('cut', (answer) => !answer.online && answer.last_active >= cut);
});
