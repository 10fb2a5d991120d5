// Many events: in order, complete, also while the transport changes beneath.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { connect, covering, every, open, replay, versions } from './lib/clients.mjs';
import { startProxy } from './lib/proxy.mjs';
import { WsSession } from './lib/raw.mjs';
import { startTarget } from './lib/target.mjs';
import { until } from './lib/wait.mjs';

const unlimited = { EVENTS_PER_SECOND: '0', EVENTS_BURST: '0' };
const upTo = (n) => Array.from({ length: n }, (_, i) => i);

// rising checks that a watcher saw a user's changes in order, to the last.
// Changes that wait for the same flush may be shown as one.
function rising(client, last, ...kinds) {
  const seen = client.events.filter(({ event }) => kinds.includes(event))
    .map(({ args: [shown] }) => [shown].flat().find((user) => user.n !== undefined)?.n)
    .filter((n) => n !== undefined);
  assert.deepEqual(seen, seen.toSorted((a, b) => a - b));
  assert.equal(seen.at(-1), last);
}

describe('a burst within the limits', { concurrency: 4 }, () => {
  for (const kind of covering) {
    test(`30 events in a row, client ${kind.version} ${kind.mode}`, async (t) => {
      const server = await startTarget(t);
      const [client, watcher] = await Promise.all([connect(t, server.url, kind), connect(t, server.url, kind)]);
      const answers = [];
      for (const n of upTo(30)) client.socket.emit('register', { id: 'ann', n }, (answer) => answers.push([n, answer.ok]));
      await client.until(() => answers.length === 30, '30 acknowledgements');
      assert.deepEqual(answers, upTo(30).map((n) => [n, true]));
      await watcher.until(() => watcher.list?.[0]?.n === 29, 'the last change');
      rising(watcher, 29, 'add_user', 'update_user');
      rising(watcher, 29, 'online_users');
      assert.deepEqual(replay(watcher.events), [{ id: 'ann', n: 29 }]);
    });

    test(`an event emitted before the connection, client ${kind.version} ${kind.mode}`, async (t) => {
      const server = await startTarget(t);
      const client = open(t, server.url, kind);
      let answer;
      client.socket.emit('register', { id: 'early' }, (reply) => { answer = reply; });
      await client.until(() => answer, 'the acknowledgement');
      assert.deepEqual(answer, { ok: true });
      await client.listed('early');
    });
  }
});

describe('a stream across the upgrade', () => {
  for (const version of Object.keys(versions)) {
    test(`500 events each way while client ${version} upgrades`, async (t) => {
      const server = await startTarget(t, unlimited);
      // 200 others stand ready to register in the middle of it.
      const crowd = await Promise.all(upTo(200).map(() => WsSession.open(server, { query: { presence: 'none' } })));
      t.after(() => crowd.forEach((session) => session.close()));

      // The WebSocket is held back until the stream is under way on polling.
      let release;
      const proxy = await startProxy(t, server.port, { hold: new Promise((resolve) => { release = resolve; }) });
      const client = open(t, proxy.url, { version, mode: 'upgrade', query: { presence: 'changes' } });
      const answers = [];
      let n = 0;
      const emit = (count) => {
        for (let i = 0; i < count; i++) {
          const mine = n++;
          client.socket.emit('register', { id: 'me', n: mine }, () => answers.push(mine));
        }
      };
      const join = (from, to) => crowd.slice(from, to).forEach((session, i) => session.send(`42["register",{"id":"crowd-${from + i}"}]`));
      const steps = [];
      client.engine.on('upgrading', () => { steps.push('upgrading'); emit(200); join(50, 150); });
      client.engine.on('upgrade', () => { steps.push('upgrade'); emit(200); join(150, 200); });
      client.socket.on('connect', () => { steps.push('connect'); emit(100); join(0, 50); });

      await client.until(() => answers.length > 0, 'the first acknowledgement');
      assert.equal(client.engine.transport.name, 'polling');
      release();
      await client.settled();
      await client.until(() => answers.length === 500, '500 acknowledgements', { show: () => answers.slice(-5) });
      assert.deepEqual(steps, ['connect', 'upgrading', 'upgrade']);
      assert.deepEqual(answers, upTo(500));

      await client.until(() => replay(client.events).length === 201, 'all 201 users', { show: () => replay(client.events).length });
      const added = client.of('add_user').map(([user]) => user.id).concat(client.of('online_users').flatMap(([users]) => users.map((user) => user.id)));
      assert.equal(new Set(added).size, 201);
      await client.until(() => replay(client.events).find((user) => user.id === 'me').n === 499, 'the last change');
      rising(client, 499, 'online_users', 'add_user', 'update_user');
      assert.equal(client.of('remove_user').length, 0);
    });
  }
});

describe('a long stream', { concurrency: 2 }, () => {
  for (const kind of every.filter(({ mode }) => mode !== 'upgrade')) {
    test(`1,000 events in a row, client ${kind.version} ${kind.mode}`, async (t) => {
      const server = await startTarget(t, unlimited);
      const client = await connect(t, server.url, { ...kind, query: { presence: 'none' } });
      const answers = [];
      for (const n of upTo(1000)) client.socket.emit('register', { id: 'me', n }, () => answers.push(n));
      await client.until(() => answers.length === 1000, '1,000 acknowledgements');
      assert.deepEqual(answers, upTo(1000));
    });
  }
});

test('twelve clients of all versions and transports agree', async (t) => {
  const server = await startTarget(t);
  const clients = await Promise.all(every.map((kind) => connect(t, server.url, kind)));
  assert.equal(clients.length, 12);
  await Promise.all(clients.map((client, i) => client.ask('register', { id: `user-${i}`, client: client.name })));

  const agree = async (these, ids, what) => {
    await until(() => these.every((client) => client.list?.length === ids.length), what);
    for (const client of these) {
      assert.deepEqual(new Set(client.list.map((user) => user.id)), new Set(ids));
      assert.deepEqual(client.list, these[0].list, `${client.name} sees another list than ${these[0].name}`);
      const changes = client.events.filter(({ event }) => event !== 'online_users');
      // A client that connected late missed no user: all were there before the first.
      assert.deepEqual(new Set(replay(changes).map((user) => user.id)), new Set(ids), client.name);
    }
  };
  await agree(clients, upTo(12).map((i) => `user-${i}`), 'a list of 12 everywhere');

  const [leaving, staying] = [clients.filter((_, i) => i % 2), clients.filter((_, i) => i % 2 === 0)];
  leaving.forEach((client) => client.socket.disconnect());
  await agree(staying, upTo(12).filter((i) => i % 2 === 0).map((i) => `user-${i}`), 'a list of 6 everywhere');
  for (const client of staying) assert.equal(client.of('remove_user').length, 6);
});
