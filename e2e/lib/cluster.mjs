// Several instances on one Redis, for one test.
import { startRedis } from './redis.mjs';
import { startServer } from './server.mjs';

// startCluster runs one instance a name. The test may stop, kill and start them.
export async function startCluster(t, names, env = {}) {
  const redis = await startRedis();
  const running = new Set();
  const fleet = {
    redis,
    servers: [],
    // start runs an instance, on the port that it had if it ran before.
    async start(name, more) {
      const before = fleet.servers.find((server) => server.name === name);
      const port = before && { PORT: String(before.port) };
      const server = await startServer({ REDIS_URL: redis.url, INSTANCE: name, ...env, ...port, ...more });
      running.add(server);
      server.name = name;
      if (before) fleet.servers[fleet.servers.indexOf(before)] = server;
      else fleet.servers.push(server);
      return server;
    },
    // stop ends an instance by the test's will.
    async stop(server, signal) {
      server.meant = true;
      await server.stop(signal);
    },
  };
  t.after(async () => {
    const crashed = [...running].filter((server) => server.exited() && !server.meant);
    await Promise.all([...running].map((server) => server.stop()));
    await redis.stop();
    for (const server of crashed) throw new Error(`instance ${server.name} ended by itself:\n${server.log().slice(-4000)}`);
    for (const server of running) {
      if (/DATA RACE|panic/.test(server.log())) throw new Error(`instance ${server.name}:\n${server.log().slice(-8000)}`);
    }
  });
  await Promise.all(names.map((name) => fleet.start(name)));
  fleet.servers.sort((one, other) => names.indexOf(one.name) - names.indexOf(other.name));
  return fleet;
}
