// What Rollcall refuses, and when it ends connections: rates, pings, shutdown. The
// Node server has none of this.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { connect, covering, direct, every, open } from './lib/clients.mjs';
import { PollSession, WsSession } from './lib/raw.mjs';
import { startServer } from './lib/server.mjs';
import { startTarget } from './lib/target.mjs';

const watching = { version: '4.8.4', mode: 'websocket' };

describe('refusals by name', { concurrency: 2 }, () => {
  for (const kind of covering) {
    test(`client ${kind.version} ${kind.mode}`, async (t) => {
      const server = await startTarget(t);
      const client = await connect(t, server.url, kind);
      assert.equal((await client.ask('register', 'Ann')).error, 'bad_user');
      assert.equal((await client.ask('register', { pad: 'x'.repeat(5000) })).error, 'user_too_large');
      assert.equal((await client.ask('nobody listens to this')).error, 'unknown_event');
      assert.equal((await client.ask('register', { id: 'ann', picture: Buffer.from('png') })).error, 'binary_not_supported');

      client.socket.emit('register', { picture: Buffer.from('png') });
      await client.sees('rollcall_error', ({ error, event }) => error === 'binary_not_supported' && event === 'register');
      client.socket.emit('nobody listens to this');
      await client.sees('rollcall_error', ({ error, event }) => error === 'unknown_event' && event === 'nobody listens to this');
      assert.deepEqual(await client.ask('register', { id: 'ann' }), { ok: true });
    });
  }
});

describe('binary as base64 text', { concurrency: 2 }, () => {
  for (const kind of covering) {
    test(`is refused by name, client ${kind.version} ${kind.mode} with forceBase64`, async (t) => {
      const server = await startTarget(t);
      const client = await connect(t, server.url, { ...kind, forceBase64: true });
      assert.equal((await client.ask('register', { id: 'ann', picture: Buffer.from('png') })).error, 'binary_not_supported');
      assert.equal((await client.ask('register', { id: 'ann', pictures: [Buffer.from('png'), Buffer.alloc(0)] })).error, 'binary_not_supported');
      assert.deepEqual(await client.ask('register', { id: 'ann' }), { ok: true });
    });
  }
});

describe('too many events', { concurrency: 2 }, () => {
  for (const kind of direct) {
    test(`a flood is refused, then disconnected, client ${kind.version} ${kind.mode}`, async (t) => {
      const server = await startTarget(t, { EVENTS_PER_SECOND: '1', EVENTS_BURST: '10' });
      const [client, other] = await Promise.all([connect(t, server.url, kind), connect(t, server.url, watching)]);
      const answers = [];
      for (let n = 0; n < 20; n++) client.socket.emit('register', { id: 'flood', n }, (answer) => answers.push(answer.error ?? 'ok'));
      await client.until(() => answers.length === 20, 'twenty answers', { show: () => answers });
      assert.deepEqual(answers.slice(0, 10), Array(10).fill('ok'));
      assert.ok(answers.includes('rate_limited'), answers.join());

      await other.sees('add_user', (user) => user.id === 'flood');
      for (let n = 0; n < 1000; n++) client.socket.emit('register', { id: 'flood', n });
      await client.until(() => !client.socket.connected, 'the end of the flood');
      await other.sees('remove_user', (user) => user.id === 'flood');
      assert.deepEqual(await other.ask('register', { id: 'ann' }), { ok: true });
    });
  }
});

describe('clients that fall silent', { concurrency: 4 }, () => {
  const silent = {
    'EIO4 WebSocket': (server) => WsSession.open(server, { eio: 4 }),
    'EIO3 WebSocket': (server) => WsSession.open(server, { eio: 3 }),
    'EIO4 polling': (server) => PollSession.open(server, { eio: 4 }),
    'EIO3 polling': (server) => PollSession.open(server, { eio: 3 }),
    'EIO4 polling without a poll': (server) => PollSession.open(server, { eio: 4, poll: false }),
    'EIO3 polling without a poll': (server) => PollSession.open(server, { eio: 3, poll: false }),
  };
  for (const [name, start] of Object.entries(silent)) {
    test(`${name}: gone for the reason timeout`, async (t) => {
      const server = await startTarget(t, { PING_INTERVAL: '500ms', PING_TIMEOUT: '8000ms' });
      const watcher = await connect(t, server.url, watching);
      const session = await start(server);
      t.after(() => session.close());
      await session.send('42["register",{"id":"ghost"}]');
      await watcher.listed('ghost');
      assert.deepEqual(await watcher.sees('remove_user'), [{ id: 'ghost' }, { reason: 'timeout' }]);
      await watcher.listed();
      assert.ok(watcher.socket.connected, 'the client that answers pings was cut off too');
    });
  }
});

describe('shutdown', { concurrency: 4 }, () => {
  for (const kind of covering) {
    test(`SIGTERM tells the client and ends, client ${kind.version} ${kind.mode}`, async (t) => {
      const server = await startServer();
      t.after(() => server.stop('SIGKILL'));
      const client = await connect(t, server.url, kind);
      await client.ask('register', { id: 'ann' });
      await server.stop('SIGTERM');
      await client.until(() => !client.socket.connected, 'the disconnect');
      assert.match(server.log(), /\S/);
    });
  }

  test('clients find a server that was killed and started again', async (t) => {
    const first = await startServer();
    t.after(() => first.stop('SIGKILL'));
    const clients = every.map((kind, i) => {
      const client = open(t, first.url, { ...kind, reconnection: true, reconnectionDelay: 20, reconnectionDelayMax: 100 });
      client.socket.on('connect', () => client.socket.emit('register', { id: `user-${i}` }));
      return client;
    });
    await Promise.all(clients.map((client) => client.settled()));
    await Promise.all(clients.map((client) => client.until(() => client.list?.length === 12, 'all twelve')));
    await first.stop('SIGKILL');
    await Promise.all(clients.map((client) => client.until(() => !client.socket.connected, 'the disconnect')));
    const marks = clients.map((client) => client.of('online_users').length);
    const second = await startServer({ PORT: String(first.port) });
    t.after(() => second.stop('SIGKILL'));
    await Promise.all(clients.map((client, i) => client.until(
      () => client.of('online_users').slice(marks[i]).at(-1)?.[0].length === 12, 'all twelve again')));
  });
});
