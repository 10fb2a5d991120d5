// Chat rooms on three instances with one Redis: everybody agrees about who is
// in, and what was said in which order, whatever happens.
// ROOMS_SEED=n repeats a history, ROOMS_ROUNDS=n makes it longer.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ask, room as roomPath } from './lib/api.mjs';
import { every } from './lib/clients.mjs';
import { startCluster } from './lib/cluster.mjs';
import { agree, blameless, end, join, leave, member, usersOf } from './lib/members.mjs';
import { seeded } from './lib/random.mjs';
import { until } from './lib/wait.mjs';

const ROOMS = ['lobby', '__proto__', 'user:5', '漢字 😀', '42'];
const ENV = { EVENTS_PER_SECOND: '0' };
const GONE_WITHIN = 30_000; // a killed instance's members: 5 s, on a machine that is busy 30
const rounds = Number(process.env.ROOMS_ROUNDS ?? 25);
const seed = Number(process.env.ROOMS_SEED ?? 20);

// A Model is the clients on a fleet, and what is known of who is in which room.
// Tabs are {client, server, user, kind, rooms: Map(room -> name)}; the two tabs
// of a user are on different instances, and share a status.
class Model {
  constructor(t, fleet, random) {
    Object.assign(this, { t, fleet, random, tabs: [], recorders: [], hidden: new Set(), said: new Map(), lost: new Set(), count: 0 });
  }

  async populate() {
    const { servers } = this.fleet;
    // Who hears everything: one on each instance, in all rooms, all the time.
    this.recorders = await Promise.all(servers.map(async (server, n) => {
      const tab = { server, kind: every[n * 4], user: `recorder ${server.name}`, rooms: new Map() };
      await this.open(tab);
      for (const room of ROOMS) await this.join(tab, room, tab.user);
      return tab;
    }));
    for (let n = 0; n < 24; n++) {
      this.tabs.push({ server: servers[n % servers.length], kind: every[n % every.length], user: `user ${n >> 1}`, rooms: new Map() });
    }
    await Promise.all(this.tabs.map((tab) => this.open(tab)));
  }

  async open(tab) {
    tab.client = await member(this.t, tab.server.url, { ...tab.kind, query: { presence: 'none' } });
    tab.client.name += ` at ${tab.server.name}`;
    const answer = await tab.client.ask('register', { id: tab.user });
    assert.ok(answer.ok, JSON.stringify(answer));
  }

  async join(tab, room, name) {
    tab.rooms.set(room, name);
    await join(tab.client, room, { username: name });
  }

  async say(tab, room) {
    const content = `${tab.user} says ${++this.count}`;
    this.said.set(content, room);
    const { id, ...answer } = await tab.client.ask('message', { room, content });
    assert.deepEqual(answer, { ok: true });
    assert.ok(Number.isSafeInteger(id), `id ${id}`);
  }

  close(tab) {
    for (const room of tab.rooms.keys()) end(tab.client, room);
    tab.rooms.clear();
    tab.client.socket.disconnect();
    (this.closed ??= []).push(tab.client);
  }

  // act is one step of a tab that leaves its user's status and other tab alone.
  async act(tab) {
    const { random } = this;
    const room = ROOMS[random(ROOMS.length)];
    const inside = tab.rooms.has(room);
    const what = random(10);
    if (inside && what < 3) {
      tab.rooms.delete(room);
      assert.deepEqual(await leave(tab.client, room), { ok: true });
    } else if (inside && what < 7) {
      await this.say(tab, room);
    } else {
      await this.join(tab, room, `name ${random(6)}`);
    }
  }

  // upset is a step that concerns a user's status, or ends a connection: not of
  // the only tab, with which the status is gone at a time of the server's choice.
  async upset(tab) {
    const other = this.tabs.some((one) => one !== tab && one.user === tab.user);
    if (other && this.random(3) === 0) {
      this.close(tab);
      await this.open(tab);
      return;
    }
    const status = this.hidden.has(tab.user) ? 'active' : 'hidden';
    if (status === 'hidden') this.hidden.add(tab.user);
    else this.hidden.delete(tab.user);
    assert.deepEqual(await tab.client.ask('status', status), { ok: true, status });
  }

  // round has every tab do one thing, all at once; a user's status changes in
  // one tab at a time, or the result would be unknown.
  round() {
    const steps = [];
    for (const user of new Set(this.tabs.map((tab) => tab.user))) {
      const both = this.tabs.filter((tab) => tab.user === user);
      const upset = this.random(3) === 0 ? both[this.random(both.length)] : undefined;
      for (const tab of both) steps.push(tab === upset ? this.upset(tab) : this.act(tab));
    }
    for (const tab of this.recorders) steps.push(this.say(tab, ROOMS[this.random(ROOMS.length)]));
    return Promise.all(steps);
  }

  // agree: every member of every room, hidden or not, shows the same as the model
  // and every instance's HTTP; those of one instance in the same order.
  async agree(what, servers = this.fleet.servers) {
    try {
      for (const room of ROOMS) {
        const inside = [...this.recorders, ...this.tabs].filter((tab) => tab.rooms.has(room));
        const names = new Set(inside.filter((tab) => !this.hidden.has(tab.user)).map((tab) => tab.rooms.get(room)));
        await agree(inside.map((tab) => tab.client), room, [...names], { servers, ordered: false });
        for (const server of servers) {
          const { users } = await ask(server, roomPath(room, 'users'));
          await agree(inside.filter((tab) => tab.server === server).map((tab) => tab.client), room, users);
        }
      }
      blameless(this.closed ?? []);
    } catch (failure) {
      throw new Error(`${what}, seed ${seed}: ${failure.message}`, { cause: failure });
    }
  }

  // history: what was said has been heard by all, in one order, each once.
  async history(servers = this.fleet.servers) {
    for (const room of ROOMS) {
      const recorders = this.recorders.filter((tab) => tab.rooms.has(room)).map((tab) => tab.client);
      const saidHere = [...this.said].filter(([, where]) => where === room).map(([content]) => content);
      const sure = saidHere.filter((content) => !this.lost.has(content));
      for (const client of recorders) {
        await client.until(() => {
          const heard = new Set(client.rooms.get(room).said.map(({ content }) => content));
          return sure.every((content) => heard.has(content));
        }, `everything that was said in ${room}`);
      }
      const log = recorders[0].rooms.get(room).said;
      await Promise.all(recorders.map((client) => client.until(() => client.rooms.get(room).said.length === log.length, `the same number of messages in ${room}`)));
      for (const client of recorders) assert.deepEqual(client.rooms.get(room).said, log, `${room}: ${client.name}`);
      const contents = log.map(({ content }) => content);
      assert.equal(new Set(contents).size, contents.length, `${room}: a message twice`);
      assert.deepEqual(contents.filter((content) => !saidHere.includes(content)), [], `${room}: not said`);
      // What one says is heard in the order of saying.
      for (const speaker of new Set(contents.map((content) => content.split(' says ')[0]))) {
        const numbers = contents.filter((content) => content.startsWith(`${speaker} says `)).map((content) => Number(content.split(' says ')[1]));
        if (speaker.startsWith('recorder')) assert.deepEqual(numbers, [...numbers].sort((a, b) => a - b), `${room}: ${speaker}`);
      }
      // Who stayed a while heard all of that while.
      const place = new Map(log.map(({ id }, i) => [id, i]));
      for (const client of [...this.tabs.map((tab) => tab.client), ...(this.closed ?? [])]) {
        const stays = client.past.filter((stay) => stay.room === room).map(({ said }) => said);
        if (client.rooms.has(room)) stays.push(client.rooms.get(room).said);
        for (const said of stays.filter((one) => one.length)) {
          const start = place.get(said[0].id);
          assert.deepEqual(said, log.slice(start, start + said.length), `${room}: ${client.name}`);
        }
      }
      for (const server of servers) assert.deepEqual(await ask(server, roomPath(room, 'messages')), log.slice(-100), `${room}: ${server.name}`);
    }
  }
}

test('members on three instances agree all the time', async (t) => {
  const fleet = await startCluster(t, ['a', 'b', 'c'], ENV);
  const model = new Model(t, fleet, seeded(seed));
  await model.populate();
  for (let n = 1; n <= rounds; n++) {
    await model.round();
    await model.agree(`round ${n}`);
  }
  await model.history();
  for (const tab of model.tabs) model.close(tab);
  await model.agree('everybody left');
});

// What hides a user is heard of before the user's other instance says so of the
// rooms there. Whoever is told of a room in between is told all.
test('a hiding that comes in two steps is told to every member', async (t) => {
  const fleet = await startCluster(t, ['a', 'b', 'c'], ENV);
  const [a, b, c] = fleet.servers;
  const kind = { version: '4.8.4', mode: 'websocket', query: { presence: 'none' } };
  const [here, there, other, witness] = await Promise.all([a, b, c, c].map((server) => member(t, server.url, kind)));
  for (const tab of [here, there]) assert.ok((await tab.ask('register', { id: 'ann' })).ok);
  await join(there, 'lobby', { username: 'Ann' });
  await until(async () => (await ask(c, roomPath('lobby', 'users'))).count === 1, 'Ann at c');
  await join(witness, 'lobby', { username: 'Zoe' });
  await other.ask('status', 'hidden');
  process.kill(b.pid, 'SIGSTOP');
  try {
    assert.ok((await here.ask('status', 'hidden')).ok);
    await until(async () => (await ask(c, 'online_users')).length === 0, 'the hiding at c');
    await join(other, 'lobby', { username: 'Ben' }); // is owed the list; nothing else changes
    assert.deepEqual(usersOf(other, 'lobby'), ['Zoe']);
  } finally {
    process.kill(b.pid, 'SIGCONT');
  }
  await agree([other, witness], 'lobby', ['Zoe'], { servers: [c] });
  assert.deepEqual(witness.of('user_left'), [[{ room: 'lobby', username: 'Ann', users: ['Zoe'], count: 1 }]]);
  await agree([there, other, witness], 'lobby', ['Zoe'], { servers: fleet.servers });
  await here.ask('status', 'active');
  await agree([there, other, witness], 'lobby', ['Zoe', 'Ann'], { servers: fleet.servers, ordered: false });
});

test('an instance is killed in the middle: its members are gone, the others go on', async (t) => {
  const fleet = await startCluster(t, ['a', 'b', 'c'], ENV);
  const model = new Model(t, fleet, seeded(seed + 1));
  await model.populate();
  for (let n = 1; n <= 5; n++) await model.round();
  await model.agree('before');

  // c's clients are in the middle of things when it dies. What they say then may
  // get lost; nothing is known of what they join, and it ends with them.
  const victim = fleet.servers[2];
  const staying = model.tabs.filter((tab) => tab.server !== victim);
  const dying = [...model.tabs, ...model.recorders].filter((tab) => tab.server === victim);
  const [victimRecorder] = model.recorders.splice(2);
  for (const tab of dying) {
    for (const room of ROOMS) {
      tab.client.asked.add(room);
      for (let i = 0; i < 3; i++) {
        const content = `${tab.user} says ${++model.count}`;
        model.said.set(content, room);
        model.lost.add(content);
        tab.client.socket.emit('message', { room, content });
      }
      tab.client.socket.emit('join', { room, username: `dying ${tab.user}` });
    }
  }
  model.tabs = staying;
  const going = model.round();
  await until(() => usersOf(model.recorders[0].client, 'lobby').some((name) => name.startsWith('dying')), 'the last events of c');
  await fleet.stop(victim, 'SIGKILL');
  const killed = Date.now();
  for (const tab of dying) model.close(tab);
  await going;
  await model.agree('after the death', fleet.servers.slice(0, 2));
  assert.ok(Date.now() - killed < GONE_WITHIN, `the dead were gone after ${Date.now() - killed} ms`);
  for (let n = 1; n <= 5; n++) {
    await model.round();
    await model.agree(`round ${n} without c`, fleet.servers.slice(0, 2));
  }

  // It comes back, and its clients with it.
  await fleet.start('c');
  victimRecorder.server = fleet.servers[2];
  for (const tab of dying) {
    tab.server = fleet.servers[2];
    await model.open(tab);
    if (tab !== victimRecorder) model.tabs.push(tab);
  }
  for (let n = 1; n <= 5; n++) {
    await model.round();
    await model.agree(`round ${n} with c again`);
  }
  await model.history();
});

test('the history outlives all instances', async (t) => {
  const fleet = await startCluster(t, ['a', 'b', 'c'], ENV);
  const say = async (round) => {
    const clients = await Promise.all(fleet.servers.map(async (server, n) => {
      const client = await member(t, server.url, every[(n * 5 + round) % every.length]);
      for (const room of ROOMS) await join(client, room, { username: `speaker ${server.name}` });
      return client;
    }));
    for (let i = 0; i < 40; i++) {
      await Promise.all(clients.map((client, n) => client.ask('message', { room: ROOMS[(i + n) % ROOMS.length], content: `${round} ${n} ${i}` })));
    }
    for (const room of ROOMS) {
      await Promise.all(clients.map((client) => client.until(() => client.rooms.get(room).said.length === 24, `24 messages in ${room}`)));
      for (const client of clients) assert.deepEqual(client.rooms.get(room).said, clients[0].rooms.get(room).said);
    }
    blameless(clients);
    return Object.fromEntries(ROOMS.map((room) => [room, clients[0].rooms.get(room).said]));
  };
  const kept = async (want) => {
    for (const room of ROOMS) {
      for (const server of fleet.servers) assert.deepEqual(await ask(server, roomPath(room, 'messages')), want(room), `${room} at ${server.name}`);
    }
  };

  let all = Object.fromEntries(ROOMS.map((room) => [room, []]));
  for (let round = 0; round < 6; round++) {
    const heard = await say(round);
    for (const room of ROOMS) {
      const last = all[room].at(-1)?.id ?? 0;
      assert.ok(heard[room][0].id > last, `${room}: id ${heard[room][0].id} after ${last}`);
      all[room] = [...all[room], ...heard[room]];
    }
    await kept((room) => all[room].slice(-100));
    // All of them end, in one way or the other, before any comes back.
    const signal = round % 2 ? 'SIGKILL' : 'SIGTERM';
    await Promise.all(fleet.servers.map((server) => fleet.stop(server, signal)));
    await Promise.all(['a', 'b', 'c'].map((name) => fleet.start(name)));
    await kept((room) => all[room].slice(-100));
  }
});
