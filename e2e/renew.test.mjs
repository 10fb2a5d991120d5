// A token is renewed on the connection that it is for: nobody is seen to leave,
// and what it fixes stays fixed.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { direct, open, versions } from './lib/clients.mjs';
import { jwt, startAuth } from './lib/tokens.mjs';

const plain = { version: '4.8.4', mode: 'websocket' };

async function enter(t, server, kind, claims, query = {}) {
  const client = open(t, server.url, { ...kind, query: { token: jwt(claims), ...query } });
  client.warnings = [];
  client.socket.on('token_expiring', (warning) => client.warnings.push(warning));
  await client.settled();
  return client;
}

describe('renew', { concurrency: direct.length + 1 }, () => {
  for (const kind of direct) {
    test(`client ${kind.version} ${kind.mode}`, async (t) => {
      const server = await startAuth(t);
      const watcher = await enter(t, server, plain, { user: { id: 'watcher' } }, { presence: 'changes' });
      await watcher.ask('join', { room: 'r', username: 'watcher' });
      await watcher.sees('user_list');
      const seconds = Math.floor(Date.now() / 1000);
      const client = await enter(t, server, kind, { user: { id: 7, name: 'Ada' }, exp: seconds + 20 });
      await client.ask('join', { room: 'r' });
      await watcher.sees('user_joined', ({ username }) => username === 'Ada');
      await client.until(() => client.warnings.length > 0, 'the warning');
      assert.ok(client.warnings[0].expires_in <= 11, JSON.stringify(client.warnings));

      assert.equal((await client.ask('renew', { token: jwt({ user: { id: 8 } }) })).error, 'forbidden');
      assert.equal((await client.ask('renew', { token: 'nonsense' })).error, 'unauthorized');
      const { ok, expires_in } = await client.ask('renew', { token: jwt({ user: { id: 7, name: 'Ada L.' } }) });
      assert.ok(ok && expires_in > 500 && expires_in <= 600, `${expires_in}`);
      await watcher.sees('update_user', (user) => user.name === 'Ada L.');

      assert.deepEqual(await client.ask('register', { id: '7', mood: 'good' }), { ok: true });
      await watcher.sees('update_user', (user) => user.mood === 'good' && user.name === 'Ada L.');
      const refusal = await client.ask('register', { id: 7, name: 'Eve' });
      assert.equal(refusal.error, 'forbidden');
      assert.match(refusal.message, /"name"/);
      assert.equal((await client.ask('join', { room: 'r', username: 'Eve' })).error, 'forbidden');

      // The end of the first token is over, and nobody was seen to go.
      await client.until(() => Date.now() / 1000 > seconds + 21, 'the end of the first token');
      assert.ok(client.socket.connected);
      assert.deepEqual(await client.ask('heartbeat'), { ok: true });
      await watcher.ask('heartbeat');
      assert.deepEqual([...watcher.of('remove_user'), ...watcher.of('user_left')], []);
    });
  }

  // Without renew the connection ends with the token, and the client is back with
  // a new one within GRACE: nobody sees it, in rooms neither.
  test('a reconnect at the end of a token is not seen', async (t) => {
    const server = await startAuth(t, { GRACE: '10s' });
    const watcher = await enter(t, server, plain, { user: { id: 'watcher' } });
    await watcher.ask('join', { room: 'r', username: 'watcher' });
    await watcher.sees('user_list');
    const seconds = Math.floor(Date.now() / 1000);
    let connections = 0;
    const client = open(t, server.url, {
      ...plain, reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 50,
      auth: (give) => give({ token: jwt({ user: { id: 7, name: 'Ada' }, exp: seconds + (connections++ ? 600 : 15) }) }),
    });
    client.socket.on('connect', () => client.socket.emit('join', { room: 'r' }));
    await watcher.sees('user_joined', ({ username }) => username === 'Ada');
    await client.until(() => connections === 2 && client.socket.connected, 'the reconnect');
    assert.equal((await client.ask('message', { room: 'r', content: 'back', nonce: '1' })).ok, true);
    await watcher.sees('message', ({ data }) => data.content === 'back' && data.user_id === '7');
    // What would be seen of a leaving is seen before the end of GRACE and a flush.
    const after = Date.now() + 11_500;
    await watcher.until(() => Date.now() > after, 'the end of GRACE');
    await watcher.ask('sync');
    await watcher.listed('watcher', 7);
    assert.deepEqual([...watcher.of('remove_user'), ...watcher.of('user_left')], []);
    assert.equal(watcher.of('user_joined').filter(([{ username }]) => username === 'Ada').length, 1);
  });
});

test('a user that starts hidden is never seen to arrive', async (t) => {
  const server = await startAuth(t);
  const watcher = await enter(t, server, plain, { user: { id: 'watcher' } });
  for (const kind of direct) {
    const inToken = await enter(t, server, kind, { user: { id: 7 }, status: 'hidden' });
    const inQuery = await enter(t, server, kind, { user: { id: 8 } }, { status: 'hidden' });
    await inToken.ask('heartbeat');
    await inQuery.ask('register', { id: 8, more: true });
    if (versions[kind.version].eio === 4) {
      const inAuth = open(t, server.url, { ...kind, auth: { token: jwt({ user: { id: 9 } }), status: 'hidden' } });
      await inAuth.settled();
    }
  }
  const late = await enter(t, server, plain, { user: { id: 'late' } });
  await late.listed('watcher', 'late');
  await watcher.listed('watcher', 'late');
  for (const event of ['add_user', 'update_user', 'remove_user']) {
    assert.ok(watcher.of(event).every(([user]) => ['watcher', 'late'].includes(user.id)), event);
  }
});
