// Presence as each client version sees it, on each kind of transport.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ask } from './lib/api.mjs';
import { connect, every, open, replay, versions } from './lib/clients.mjs';
import { startProxy } from './lib/proxy.mjs';
import { startTarget } from './lib/target.mjs';
import { until } from './lib/wait.mjs';

const ann = { id: 'ann', name: 'Ann' };
const ben = { id: 'ben', name: 'Ben' };

// refused checks the form of a refusal; its code is the domain's affair.
function refused(answer) {
  assert.equal(answer.ok, false);
  assert.match(answer.error, /^[a-z_]+$/);
  assert.ok(answer.message.length > 5, `no sentence for people: ${answer.message}`);
}

for (const kind of every) {
  describe(`presence, client ${kind.version} ${kind.mode}`, { concurrency: 2 }, () => {
    const pair = async (t) => {
      const server = await startTarget(t);
      const [one, two] = await Promise.all([connect(t, server.url, kind), connect(t, server.url, kind)]);
      return { server, one, two };
    };

    test('two users see each other come, change and go', async (t) => {
      const { one, two } = await pair(t);
      assert.deepEqual(await one.ask('register', ann), { ok: true });
      await Promise.all([one, two].map((client) => client.listed('ann')));
      assert.deepEqual(await two.ask('register', ben), { ok: true });
      for (const client of [one, two]) {
        await client.listed('ann', 'ben');
        assert.deepEqual(client.list, [ann, ben]);
        assert.deepEqual(client.of('add_user'), [[ann], [ben]]);
      }

      const renamed = { ...ann, name: 'Anna' };
      assert.deepEqual(await one.ask('register', renamed), { ok: true });
      for (const client of [one, two]) {
        assert.deepEqual(await client.sees('update_user'), [renamed]);
        await client.until(() => client.list[0].name === 'Anna', 'the list with the new name');
        assert.deepEqual(client.list, [renamed, ben]);
        assert.equal(client.of('add_user').length, 2);
      }

      two.socket.disconnect();
      assert.deepEqual(await one.sees('remove_user'), [ben, { reason: 'closed' }]);
      await one.listed('ann');
      assert.deepEqual(replay(one.events), one.list);
    });

    test('the user of a connection that breaks leaves', async (t) => {
      const { one, two } = await pair(t);
      await one.ask('register', ann);
      await two.ask('register', ben);
      await one.listed('ann', 'ben');
      two.engine.close();
      assert.deepEqual(await one.sees('remove_user'), [ben, { reason: 'closed' }]);
      await one.listed('ann');
    });

    test('several tabs are one user, from the first to the last', async (t) => {
      const { server, one, two } = await pair(t);
      const watcher = await connect(t, server.url, kind);
      await one.ask('register', ann);
      await two.ask('register', ann);
      await watcher.ask('register', ben);
      await watcher.listed('ann', 'ben');
      two.socket.disconnect();
      await until(async () => (await ask(server, 'online_users/count')).sockets === 2, 'the end of the tab');
      // What ben does afterwards comes after what the tab did.
      await watcher.ask('unregister');
      await watcher.sees('remove_user', (user) => user.id === 'ben');
      await watcher.listed('ann');
      assert.deepEqual(watcher.of('add_user'), [[ann], [ben]]);
      assert.equal(watcher.of('remove_user').length, 1);

      one.socket.disconnect();
      await watcher.sees('remove_user', (user, why) => user.id === 'ann' && why.reason === 'closed');
      await watcher.listed();
      assert.deepEqual(replay(watcher.events), []);
    });

    test('unregister signs out, the connection stays', async (t) => {
      const { one, two } = await pair(t);
      await one.ask('register', ann);
      await two.ask('register', ben);
      // Nobody is told of a user who comes and goes between two flushes.
      await Promise.all([one, two].map((client) => client.listed('ann', 'ben')));
      assert.deepEqual(await two.ask('unregister'), { ok: true });
      for (const client of [one, two]) {
        assert.deepEqual(await client.sees('remove_user'), [ben, { reason: 'signed_out' }]);
        await client.listed('ann');
      }
      await two.ask('register', ben);
      await one.listed('ann', 'ben');
    });

    test('sync answers with the list, at once and to this socket alone', async (t) => {
      const { one, two } = await pair(t);
      await one.ask('register', ann);
      await Promise.all([one, two].map((client) => client.listed('ann')));
      const [mine, others] = [one.of('online_users').length, two.of('online_users').length];
      assert.deepEqual(await one.ask('sync'), { ok: true });
      await one.until(() => one.of('online_users').length > mine, 'the fresh list');
      assert.deepEqual(one.list, [ann]);
      await two.ask('unregister'); // a round trip: anything sent to two before has arrived
      assert.equal(two.of('online_users').length, others);
    });

    test('refusals come as acknowledgement or as rollcall_error', async (t) => {
      const { one, two } = await pair(t);
      for (const wrong of ['Ann', 7, null, true, ['ann']]) refused(await one.ask('register', wrong));
      refused(await one.ask('register'));
      refused(await one.ask('register', { id: 'ann', pad: 'x'.repeat(4096) }));

      one.socket.emit('register', 'Ann');
      const [error] = await one.sees('rollcall_error');
      refused(error);
      assert.equal(error.event, 'register');

      // After all that the socket is in order, and nobody heard of it.
      await one.ask('register', ann);
      await two.listed('ann');
      assert.equal(two.of('rollcall_error').length, 0);
      assert.deepEqual(two.of('add_user'), [[ann]]);
    });

    test('a killed connection comes back with its user', async (t) => {
      const server = await startTarget(t);
      const proxy = await startProxy(t, server.port);
      const watcher = await connect(t, server.url, kind);
      const client = open(t, proxy.url, { ...kind, reconnection: true, reconnectionDelay: 10, reconnectionDelayMax: 50 });
      let gone = Promise.resolve(); // the server may notice the end after the return
      client.socket.on('connect', () => gone.then(() => client.socket.emit('register', ann)));
      await client.settled();
      await client.ask('sync'); // over the last transport, so the server has upgraded too
      await watcher.listed('ann');
      const before = client.socket.id;
      if (kind.mode === 'polling') await client.until(proxy.waiting, 'the poll');

      const mark = watcher.events.length;
      gone = watcher.sees('remove_user', (user, why) => user.id === 'ann' && why.reason === 'closed', mark);
      proxy.cut();
      await gone;
      await watcher.sees('add_user', (user) => user.id === 'ann', mark);
      await client.settled();
      assert.notEqual(client.socket.id, before);
      await watcher.listed('ann');
      await client.listed('ann');
    });
  });
}

// Who receives what. How a client says it: by query (all) or auth (3.x, 4.x).
const ways = Object.keys(versions).flatMap((version) => [
  { version, by: 'query', option: (presence) => ({ query: { presence } }) },
  ...(versions[version].eio === 4 ? [{ version, by: 'auth', option: (presence) => ({ auth: { presence } }) }] : []),
]);

for (const { version, by, option } of ways) {
  for (const mode of ['polling', 'websocket']) {
    test(`subscriptions by ${by}, client ${version} ${mode}`, async (t) => {
      const server = await startTarget(t);
      const watchers = {};
      await Promise.all(['both', 'list', 'changes', 'count', 'none'].map(async (presence) => {
        watchers[presence] = await connect(t, server.url, { version, mode, ...option(presence) });
      }));
      const { both, list, changes, count, none } = watchers;
      const [one, two] = await Promise.all([1, 2].map(() => connect(t, server.url, { version, mode })));

      await changes.ask('sync');
      await changes.listed();
      await one.ask('register', ann);
      await two.ask('register', ben);
      await one.ask('register', { ...ann, name: 'Anna' });
      await Promise.all([both, changes].map((client) => client.sees('add_user', (user) => user.id === 'ben')));
      await count.sees('online_count', (n) => n === 2);
      two.socket.disconnect();

      await both.sees('remove_user', (user) => user.id === 'ben');
      await both.until(() => both.list?.length === 1 && both.list[0].name === 'Anna', 'the last list');
      await list.until(() => list.list?.length === 1 && list.list[0].name === 'Anna', 'the last list');
      await changes.sees('remove_user', (user) => user.id === 'ben');
      await count.until(() => count.of('online_count').at(-1)[0] === 1, 'the last count');
      await none.ask('unregister');

      assert.deepEqual(new Set(list.events.map((one) => one.event)), new Set(['online_users']));
      assert.deepEqual(changes.of('online_users'), [[[]]]);
      assert.deepEqual(replay(changes.events), [{ ...ann, name: 'Anna' }]);
      assert.deepEqual(replay(both.events.filter((one) => one.event !== 'online_users')), both.list);
      assert.deepEqual(new Set(count.events.map((one) => one.event)), new Set(['online_count']));
      assert.deepEqual(none.events, []);

      // A subscriber of changes that registers gets its one list then.
      const late = await connect(t, server.url, { version, mode, ...option('changes') });
      await late.ask('register', { id: 'cid' });
      await late.listed('ann', 'cid');
      await one.ask('unregister');
      await late.sees('remove_user', (user) => user.id === 'ann');
      assert.equal(late.of('online_users').length, 1);
      assert.deepEqual(replay(late.events), [{ id: 'cid' }]);
    });
  }
}
