// What a client can rely on when `register` has been acknowledged (docs/reference/events.md,
// "After register"): in every version, over every transport, in both modes, with
// one instance and with two.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect, every } from './lib/clients.mjs';
import { startRedis } from './lib/redis.mjs';
import { startServer } from './lib/server.mjs';
import { until } from './lib/wait.mjs';

const settings = [
  { name: 'default' },
  { name: 'strict', env: { COMPAT: 'strict' } },
  { name: 'two instances', shared: true },
  { name: 'two instances, strict', env: { COMPAT: 'strict' }, shared: true },
];

// serve is one instance, or two on a Redis of their own.
async function serve(t, { env, shared }) {
  const redis = shared ? await startRedis() : undefined;
  const start = () => startServer({ ...env, ...(redis && { REDIS_URL: redis.url }) });
  const servers = await Promise.all(shared ? [start(), start()] : [start()]);
  t.after(async () => {
    await Promise.all(servers.map((server) => server.stop()));
    await redis?.stop();
  });
  return servers;
}

async function shown(server, id) {
  const response = await fetch(`${server.url}/api/online_users`);
  return (await response.json()).some((user) => user.id === id);
}

const isIn = (id) => (users) => users.some((user) => user.id === id);

for (const setting of settings) {
  test(`after the acknowledgement of register, ${setting.name}`, async (t) => {
    const servers = await serve(t, setting);
    const [server, other = server] = servers;
    await Promise.all(every.map(async (kind) => {
      for (const presence of ['both', 'list', 'changes']) {
        const watcher = await connect(t, other.url, kind);
        const client = await connect(t, server.url, { ...kind, query: { presence } });
        const id = `${client.name} ${presence}`;
        const since = client.events.length;
        assert.deepEqual(await client.ask('register', { id, tab: 1 }), { ok: true });
        assert.ok(await shown(server, id), `${id} is not shown over HTTP`);
        await client.sees('online_users', isIn(id), since);
        await watcher.sees('online_users', isIn(id));
        await until(() => shown(other, id), `${id} over HTTP of the other instance`);

        // A second tab, which changes nothing, gets the list as well.
        const tab = await connect(t, server.url, { ...kind, query: { presence } });
        const before = tab.events.length;
        assert.deepEqual(await tab.ask('register', { id, tab: 1 }), { ok: true });
        await tab.sees('online_users', isIn(id), before);
        for (const one of [tab, client, watcher]) one.close();
      }
    }));
  });
}
