// Messages by the official packages: @socket.io/redis-emitter publishes to
// Rollcall's clients, and a Node server with @socket.io/redis-adapter on the
// same Redis exchanges broadcasts with Rollcall.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { createAdapter } from '@socket.io/redis-adapter';
import { Emitter } from '@socket.io/redis-emitter';
import { createClient } from 'redis';
import { Server } from 'socket.io';
import { connect, versions } from './lib/clients.mjs';
import { startRedis } from './lib/redis.mjs';
import { startTarget } from './lib/target.mjs';
import { until, within } from './lib/wait.mjs';

// What JSON carries, and what JavaScript makes JSON of.
const values = [
  { z: 1, a: [true, null, -7, 2 ** 53 - 1, -(2 ** 40), 0.1, 1.5e-300], 5: { ü: '漢 😀 " \\ \n \u2028' } },
  'text', 0, '', [], {}, [[[]]], 'x'.repeat(300), Array(20).fill(1.5),
];
const converted = [new Date(1.7e12 + 0.25e3), NaN, undefined, { d: new Date(0), u: undefined }];
const asJSON = (args) => JSON.parse(JSON.stringify(args));

// redisClient is a connection of npm's redis package.
async function redisClient(t, redis) {
  const client = createClient({ url: redis.url });
  client.on('error', () => {}); // the end of the test cuts it
  await client.connect();
  t.after(() => client.destroy());
  return client;
}

// listen records a client's events of these names, in order.
function listen(client, ...names) {
  client.notes = [];
  for (const name of names) client.socket.on(name, (...args) => client.notes.push([name, ...args]));
  return client;
}

// heard waits until each client has the event "last" and gives what came before.
const heard = async (client) => {
  await until(() => client.notes.some(([name]) => name === 'last'), `the last message (${client.name})`, { show: () => client.notes });
  const at = client.notes.findIndex(([name]) => name === 'last');
  return client.notes.splice(0, at + 1).slice(0, -1);
};

// setUp is two instances, each with a client of every version. The first two
// versions are user 5 on the first instance; the third is on both.
async function setUp(t) {
  const redis = await startRedis();
  const servers = await Promise.all(['a', 'b'].map((name) => startTarget(t, { REDIS_URL: redis.url, INSTANCE: name })));
  t.after(redis.stop); // after those that use it
  const clients = await Promise.all(servers.flatMap((server, place) => Object.keys(versions).map(async (version, n) => {
    const mode = ['websocket', 'polling', 'upgrade'][(n + place) % 3];
    const client = listen(await connect(t, server.url, { version, mode, query: { presence: 'none' } }), 'notice', 'last');
    client.five = place === 0 ? n < 3 : n === 2;
    client.name += ` at ${'ab'[place]}`;
    if (n < 3) await client.ask('register', { id: client.five ? 5 : `other ${n}` });
    return client;
  })));
  return { redis, servers, clients };
}

// got checks which clients received the notice since the last time, each once.
async function got(clients, who, args, what) {
  await Promise.all(clients.map(async (client) => {
    const notes = await heard(client);
    assert.deepEqual(notes, who(client) ? [['notice', ...args]] : [], `${what}: ${client.name}`);
  }));
}

test('the emitter reaches everybody, a user, one socket, and all but those excepted', async (t) => {
  const { redis, clients } = await setUp(t);
  const emitter = new Emitter(await redisClient(t, redis));
  const one = clients[5];
  const cases = [
    ['all', emitter, () => true],
    ['a user', emitter.to('user:5'), (c) => c.five],
    ['a socket', emitter.to(one.socket.id), (c) => c === one],
    ['a user and a socket', emitter.to(['user:5', one.socket.id]).to('nobody'), (c) => c.five || c === one],
    ['all but a user', emitter.except('user:5'), (c) => !c.five],
    ['all but a socket', emitter.except(one.socket.id), (c) => c !== one],
    ['a user but a socket', emitter.to('user:5').except(clients[0].socket.id), (c) => c.five && c !== clients[0]],
    ['nobody', emitter.to('user:4'), () => false],
    ['with flags', emitter.volatile.compress(true), () => true],
  ];
  for (const [what, to, who] of cases) {
    to.emit('notice', what);
    emitter.emit('last');
    await got(clients, who, [what], what);
  }
  emitter.emit('notice', ...values, ...converted);
  emitter.emit('last');
  await got(clients, () => true, asJSON([...values, ...converted]), 'values');

  // Order, and what cannot be delivered.
  for (let i = 0; i < 500; i++) emitter.emit('notice', i);
  emitter.emit('notice', Buffer.from('binary'));
  emitter.of('/admin').emit('notice', 'another namespace');
  emitter.socketsJoin('user:5');
  emitter.serverSideEmit('notice');
  emitter.emit('last');
  for (const client of clients) {
    assert.deepEqual(await heard(client), Array.from({ length: 500 }, (_, i) => ['notice', i]), client.name);
  }
});

test('a socket is in the room of the user that it registers', async (t) => {
  const redis = await startRedis();
  const server = await startTarget(t, { REDIS_URL: redis.url });
  t.after(redis.stop);
  const emitter = new Emitter(await redisClient(t, redis));
  const client = listen(await connect(t, server.url, { version: '4.8.4', mode: 'websocket' }), 'notice', 'last');
  const hears = async () => {
    emitter.to('user:1').emit('notice', 1);
    emitter.to('user:2').emit('notice', 2);
    emitter.emit('last');
    return (await heard(client)).map(([, n]) => n);
  };
  assert.deepEqual(await hears(), []);
  await client.ask('register', { id: '1' });
  assert.deepEqual(await hears(), [1]);
  await client.ask('register', { id: 2 });
  assert.deepEqual(await hears(), [2]);
  await client.ask('unregister');
  assert.deepEqual(await hears(), []);
});

// nodeServer is a Socket.IO server with the official adapter, and a client.
async function nodeServer(t, redis, options) {
  const http = createServer();
  const io = new Server(http, { adapter: createAdapter(await redisClient(t, redis), await redisClient(t, redis), options) });
  t.after(() => io.close());
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  io.on('connection', (socket) => socket.on('join', (room, done) => { socket.join(room); done(); }));
  const url = `http://127.0.0.1:${http.address().port}`;
  const client = listen(await connect(t, url, { version: '4.8.4', mode: 'websocket' }), 'notice', 'last');
  client.name += ' at Node';
  return { io, client };
}

// subscribed waits until Redis has the adapter's subscriptions.
async function subscribed(t, redis, { patterns, requests }) {
  const asker = await redisClient(t, redis);
  await until(async () => await asker.pubSubNumPat() >= patterns
    && (await asker.pubSubNumSub('socket.io-request#/#'))['socket.io-request#/#'] >= requests, 'the subscriptions');
  return asker;
}

let tools;
before(async () => {
  tools = await mkdtemp(`${tmpdir()}/rollcall-e2e-`);
  await promisify(execFile)('go', ['build', '-o', `${tools}/publish`, './publish'], {
    cwd: import.meta.dirname, env: { ...process.env, PATH: `${process.env.PATH}:/usr/local/go/bin` },
  });
});
after(() => rm(tools, { recursive: true, force: true }));

// publish has Rollcall's own bus publish, in order.
async function publish(redis, ...messages) {
  const child = spawn(`${tools}/publish`, { env: { REDIS_URL: redis.url }, stdio: ['pipe', 'inherit', 'inherit'] });
  child.stdin.end(messages.map((one) => `${JSON.stringify(one)}\n`).join(''));
  const [code] = await once(child, 'close');
  assert.equal(code, 0, 'publish failed');
}

test('a Node server and Rollcall hear each other', async (t) => {
  const { redis, clients } = await setUp(t);
  const { io, client } = await nodeServer(t, redis);
  await new Promise((done) => client.socket.emit('join', 'user:5', done));
  client.five = true;
  await subscribed(t, redis, { patterns: 1, requests: 1 });
  const everybody = [...clients, client];
  const one = clients[2];

  const fromNode = [
    ['all', io, () => true],
    ['a user', io.to('user:5'), (c) => c.five],
    ['a socket', io.to(one.socket.id), (c) => c === one],
    ['all but a user', io.except('user:5'), (c) => !c.five],
    ['volatile', io.volatile, () => true],
    ['local', io.local, (c) => c === client],
  ];
  for (const [what, to, who] of fromNode) {
    to.emit('notice', what);
    io.emit('last');
    await got(everybody, who, [what], `Node to ${what}`);
  }
  io.emit('notice', ...values, ...converted);
  io.emit('last');
  await got(everybody, () => true, asJSON([...values, ...converted]), 'values from Node');

  const fromRollcall = [
    ['all', {}, () => true],
    ['a user', { rooms: ['user:5'] }, (c) => c.five],
    ['a socket of Node', { rooms: [client.socket.id] }, (c) => c === client],
    ['sockets of both', { rooms: [client.socket.id, one.socket.id] }, (c) => c === client || c === one],
    ['all but a user', { except: ['user:5'] }, (c) => !c.five],
    ['a user but a socket of Node', { rooms: ['user:5'], except: [client.socket.id] }, (c) => c.five && c !== client],
  ];
  for (const [what, to, who] of fromRollcall) {
    await publish(redis, { event: 'notice', args: [what], ...to }, { event: 'last' });
    await got(everybody, who, [what], `Rollcall to ${what}`);
  }
  await publish(redis, { event: 'notice', args: values }, { event: 'last' });
  await got(everybody, () => true, values, 'values from Rollcall');
});

const WAITED_FOR = 20_000; // ms: a peer that does not answer

// A Node server asks its peers for things, and waits for as many answers as
// Redis has subscribers to its request channel. Rollcall is none of them.
test('what Node servers ask each other does not wait for Rollcall', async (t) => {
  const { redis, servers } = await setUp(t);
  const options = { requestsTimeout: WAITED_FOR };
  const [first, second] = await Promise.all([nodeServer(t, redis, options), nodeServer(t, redis, options)]);
  const asker = await subscribed(t, redis, { patterns: 1, requests: 2 });
  second.io.on('question', (answer) => answer('fine'));
  for (const { client } of [first, second]) client.socket.on('ask', (answer) => answer(client.socket.id));
  const ids = [first, second].map(({ client }) => client.socket.id).sort();
  const ask = {
    serverCount: async () => assert.equal(await first.io.of('/').adapter.serverCount(), 2),
    fetchSockets: async () => assert.deepEqual((await first.io.fetchSockets()).map((socket) => socket.id).sort(), ids),
    allRooms: async () => assert.deepEqual([...await first.io.of('/').adapter.allRooms()].sort(), ids),
    serverSideEmit: async () => assert.deepEqual(await first.io.serverSideEmitWithAck('question'), ['fine']),
    emitWithAck: async () => assert.deepEqual((await first.io.timeout(WAITED_FOR).emitWithAck('ask')).sort(), ids),
  };
  const all = async (what) => {
    for (const [name, question] of Object.entries(ask)) await within(question(), `${name}, ${what}`, 0.9 * WAITED_FOR);
  };
  await all('Rollcall is there');
  for (const { pid } of servers) process.kill(pid, 'SIGSTOP');
  try {
    await all('Rollcall is stopped');
  } finally {
    for (const { pid } of servers) process.kill(pid, 'SIGCONT');
  }
  // The control: a peer that is counted and does not answer is waited for.
  const silent = await redisClient(t, redis);
  await silent.subscribe('socket.io-request#/#', () => {});
  assert.equal((await asker.pubSubNumSub('socket.io-request#/#'))['socket.io-request#/#'], 3);
  await assert.rejects(first.io.fetchSockets(), /timeout reached/);
});
