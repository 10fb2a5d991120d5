// Chat rooms as each client version sees them, on each kind of transport.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ask, room as roomPath } from './lib/api.mjs';
import { connect, covering, every } from './lib/clients.mjs';
import { agree, blameless, join, leave, member, usersOf } from './lib/members.mjs';
import { seeded } from './lib/random.mjs';
import { startTarget } from './lib/target.mjs';

const UNLIMITED = { EVENTS_PER_SECOND: '0' };

// refused checks a refusal and its code.
function refused(answer, code) {
  assert.equal(answer.ok, false, JSON.stringify(answer));
  assert.equal(answer.error, code);
  assert.ok(answer.message.length > 5, `no sentence for people: ${answer.message}`);
}

for (const kind of covering) {
  describe(`rooms, client ${kind.version} ${kind.mode}`, { concurrency: 2 }, () => {
    const connected = async (t, n, env) => {
      const server = await startTarget(t, env);
      const clients = await Promise.all(Array.from({ length: n }, () => member(t, server.url, kind)));
      return { server, clients };
    };

    test('members see each other come and go', async (t) => {
      const { server, clients: [one, two, three] } = await connected(t, 3);
      assert.deepEqual(await join(one, 'lobby', { username: 'Ann' }), { ok: true, room: 'lobby', username: 'Ann' });
      await join(two, 'lobby', { username: 'Ben' });
      assert.deepEqual(await join(three, 'lobby'), { ok: true, room: 'lobby', username: 'Guest' });
      await agree([one, two, three], 'lobby', ['Ann', 'Ben', 'Guest'], { servers: [server] });
      assert.deepEqual(one.of('user_list'), [[{ room: 'lobby', users: ['Ann'], count: 1 }]]);
      assert.deepEqual(one.of('user_joined'), [
        [{ room: 'lobby', username: 'Ben', users: ['Ann', 'Ben'], count: 2 }],
        [{ room: 'lobby', username: 'Guest', users: ['Ann', 'Ben', 'Guest'], count: 3 }],
      ]);
      assert.deepEqual(two.of('user_list'), [[{ room: 'lobby', users: ['Ann', 'Ben'], count: 2 }]]);
      assert.equal(three.of('user_joined').length, 0);

      assert.deepEqual(await leave(two, 'lobby'), { ok: true });
      await agree([one, three], 'lobby', ['Ann', 'Guest'], { servers: [server] });
      three.socket.disconnect();
      await agree([one], 'lobby', ['Ann'], { servers: [server] });
      assert.deepEqual(one.of('user_left'), [
        [{ room: 'lobby', username: 'Ben', users: ['Ann', 'Guest'], count: 2 }],
        [{ room: 'lobby', username: 'Guest', users: ['Ann'], count: 1 }],
      ]);
      // A client that has left hears nothing more; its connection is in order.
      assert.equal(two.of('user_left').length, 0);
      await join(two, 'lobby', { username: 'Ben' });
      await agree([one, two], 'lobby', ['Ann', 'Ben'], { servers: [server] });

      two.engine.close(); // a connection that breaks
      await agree([one], 'lobby', ['Ann'], { servers: [server] });
      await leave(one, 'lobby');
      await agree([], 'lobby', [], { servers: [server] });
    });

    test('several sockets of one name are one, until the last is gone', async (t) => {
      const { server, clients: [one, two, three, watcher] } = await connected(t, 4);
      await join(watcher, 'lobby', { username: 'Zoe' });
      for (const client of [one, two, three]) await join(client, 'lobby', { username: 'Ann' });
      await agree([one, two, three, watcher], 'lobby', ['Zoe', 'Ann'], { servers: [server] });
      await leave(one, 'lobby');
      two.socket.disconnect();
      // Another name comes after all that.
      await join(one, 'lobby', { username: 'Ben' });
      await agree([one, three, watcher], 'lobby', ['Zoe', 'Ann', 'Ben'], { servers: [server] });
      assert.equal(watcher.of('user_left').length, 0);
      assert.deepEqual(watcher.of('user_joined').map(([data]) => data.username), ['Ann', 'Ben']);
      await leave(three, 'lobby');
      await agree([one, watcher], 'lobby', ['Zoe', 'Ben'], { servers: [server] });
      assert.deepEqual(watcher.of('user_left').map(([data]) => data.username), ['Ann']);
    });

    test('joining again renames; a socket has a name for each room', async (t) => {
      const { server, clients: [one, two, twin] } = await connected(t, 3);
      for (const client of [one, two]) await join(client, 'lobby', { username: client === one ? 'Ann' : 'Ben' });
      await join(one, 'other', { username: 'Somebody' });
      assert.deepEqual(await join(one, 'lobby', { username: 'Anna' }), { ok: true, room: 'lobby', username: 'Anna' });
      await agree([one, two], 'lobby', ['Ben', 'Anna'], { servers: [server] });
      await agree([one], 'other', ['Somebody'], { servers: [server] });
      assert.deepEqual(two.of('user_left'), [[{ room: 'lobby', username: 'Ann', users: ['Ben'], count: 1 }]]);
      assert.deepEqual(two.of('user_joined'), [[{ room: 'lobby', username: 'Anna', users: ['Ben', 'Anna'], count: 2 }]]);

      // The name stays while another socket has it.
      await join(twin, 'lobby', { username: 'Anna' });
      await join(one, 'lobby', { username: 'Ann' });
      await agree([one, two, twin], 'lobby', ['Ben', 'Anna', 'Ann'], { servers: [server] });
      assert.equal(two.of('user_left').length, 1);
      // The same name again changes nothing for anybody.
      const before = two.events.length;
      await join(one, 'lobby', { username: 'Ann' });
      await join(one, 'other', { username: 'Ann' });
      await leave(twin, 'lobby');
      await agree([one, two], 'lobby', ['Ben', 'Ann'], { servers: [server] });
      assert.deepEqual(two.events.slice(before).map(({ event }) => event), ['user_left']);
    });

    test('names of members', async (t) => {
      const { clients: [client] } = await connected(t, 1);
      const called = async (fields) => (await join(client, 'lobby', fields)).username;
      assert.equal(await called({ username: '  Ann \t' }), 'Ann');
      assert.equal(await called({ username: '   ' }), 'Guest');
      assert.equal(await called({ username: '' }), 'Guest');
      assert.equal(await called({ username: null }), 'Guest');
      assert.equal(await called({ user: { name: 'N', nickname: 'K', username: 'U' } }), 'U');
      assert.equal(await called({ user: { name: 'N', nickname: 'K' } }), 'K');
      assert.equal(await called({ user: { name: ' N ' } }), 'N');
      assert.equal(await called({ user: { id: 7 } }), 'Guest');
      assert.equal(await called({ username: 'Ann', user: { name: 'N' } }), 'Ann');
      assert.equal(await called({ username: ' ', user: { name: 'N' } }), 'N');
      await agree([client], 'lobby', ['N']);
      assert.deepEqual(await join(client, 7, { username: 'Ann' }), { ok: true, room: '7', username: 'Ann' });
      assert.equal((await client.ask('message', { room: '7', content: 'hello' })).ok, true);
      await client.until(() => client.rooms.get('7').said.length === 1, 'the message');
      blameless([client]);
    });

    test('messages reach the room, in order, under the name that was joined with', async (t) => {
      const { server, clients: [one, two, outside] } = await connected(t, 3, UNLIMITED);
      await join(one, 'lobby', { username: 'Ann' });
      await join(two, 'lobby', { username: 'Ben' });
      await join(outside, 'other', { username: 'Cid' });
      const began = Date.now();
      const first = await one.ask('message', { room: 'lobby', content: 'first', username: 'Ben', id: 99, timestamp: 0 });
      assert.deepEqual(first, { ok: true, id: first.id });
      assert.ok(Number.isInteger(first.id), `${first.id}`);
      for (let i = 1; i < 110; i++) {
        [one, two][i % 2].socket.emit('message', { room: 'lobby', content: `${i}`, username: 'Mallory' });
        if (i % 10 === 0) await Promise.all([one, two].map((client) => client.ask('heartbeat')));
      }
      await outside.ask('message', { room: 'other', content: 'elsewhere' });
      for (const client of [one, two]) await client.until(() => client.rooms.get('lobby').said.length >= 110, '110 messages');
      const { said } = one.rooms.get('lobby');
      assert.deepEqual(two.rooms.get('lobby').said, said);
      assert.deepEqual(outside.rooms.get('other').said.map(({ content }) => content), ['elsewhere']);
      assert.equal(outside.of('message').length, 1);
      assert.equal(said.length, 110);
      // Between two senders either order is right; each one's own is kept.
      const saidBy = (name) => said.filter(({ username }) => username === name).map(({ content }) => content);
      assert.deepEqual(saidBy('Ann'), Array.from({ length: 55 }, (_, i) => (i ? `${2 * i}` : 'first')));
      assert.deepEqual(saidBy('Ben'), Array.from({ length: 55 }, (_, i) => `${2 * i + 1}`));
      for (const { timestamp } of said) {
        const at = Date.parse(timestamp);
        assert.ok(at >= began - 1 && at <= Date.now() + 1, `${timestamp} is not now`);
      }
      blameless([one, two, outside]);
      assert.deepEqual(await ask(server, roomPath('lobby', 'messages')), said.slice(-100));
      assert.deepEqual(await ask(server, roomPath('other', 'messages')), outside.rooms.get('other').said);
      assert.deepEqual(await ask(server, roomPath('unknown', 'messages')), []);

      // A member that has left sends and receives nothing until it joins again.
      await leave(two, 'lobby');
      refused(await two.ask('message', { room: 'lobby', content: 'from outside' }), 'not_in_room');
      await one.ask('message', { room: 'lobby', content: 'inside' });
      await join(two, 'lobby', { username: 'Benjamin' });
      await two.ask('message', { room: 'lobby', content: 'back' });
      await one.until(() => one.rooms.get('lobby').said.length === 112, 'two more messages');
      await two.until(() => two.rooms.get('lobby').said.length === 1, 'one message');
      assert.deepEqual(one.rooms.get('lobby').said.slice(110).map(({ username, content }) => [username, content]),
        [['Ann', 'inside'], ['Benjamin', 'back']]);
      assert.deepEqual(two.rooms.get('lobby').said, one.rooms.get('lobby').said.slice(-1));
      blameless([one, two]);
    });

    test('typing is told to the others in the room', async (t) => {
      const { clients: [one, two, three] } = await connected(t, 3);
      for (const client of [one, two]) await join(client, 'lobby', { username: client === one ? 'Ann' : 'Ben' });
      await join(three, 'other', { username: 'Cid' });
      assert.deepEqual(await one.ask('typing', { room: 'lobby', username: 'Mallory' }), { ok: true });
      assert.deepEqual(await two.sees('typing'), [{ room: 'lobby', username: 'Ann' }]);
      refused(await three.ask('typing', { room: 'lobby' }), 'not_in_room');
      // A round trip of each: what was sent to it before has arrived.
      for (const client of [one, three]) {
        await client.ask('heartbeat');
        assert.deepEqual(client.of('typing'), []);
      }
      assert.equal(two.of('typing').length, 1);
      blameless([one, two, three]);
    });

    test('refusals, as acknowledgement or as rollcall_error, change nothing', async (t) => {
      const { server, clients: [one, two] } = await connected(t, 2, UNLIMITED);
      await join(two, 'lobby', { username: 'Ben' });
      for (const event of ['join', 'leave', 'typing', 'message']) {
        const inRoom = (room) => ({ room, username: 'Ann', content: 'text' });
        for (const wrong of [undefined, null, 'lobby', 7, ['lobby'], {}, ...['', null, true, [], {}].map(inRoom)]) {
          refused(await (wrong === undefined ? one.ask(event) : one.ask(event, wrong)), 'bad_room');
        }
        if (event !== 'join') refused(await one.ask(event, inRoom('lobby')), 'not_in_room');
      }
      for (const wrong of [7, true, [], {}, 'x'.repeat(65)]) {
        refused(await one.ask('join', { room: 'lobby', username: wrong }), 'bad_username');
        refused(await one.ask('join', { room: 'lobby', user: { name: wrong } }), 'bad_username');
      }
      for (const wrong of [undefined, null, 7, true, [], {}, '', ' \n\t', 'x'.repeat(4001)]) {
        refused(await two.ask('message', { room: 'lobby', content: wrong }), 'bad_message');
      }
      one.socket.emit('message', { room: 'lobby', content: 'text' });
      const [error] = await one.sees('rollcall_error');
      refused(error, 'not_in_room');
      assert.equal(error.event, 'message');

      await agree([two], 'lobby', ['Ben'], { servers: [server] });
      assert.deepEqual(two.events.filter(({ event }) => !/online_users/.test(event)).map(({ event }) => event), ['user_list']);
      assert.deepEqual(await ask(server, roomPath('lobby', 'messages')), []);
      // The socket is in order after all that.
      await join(one, 'lobby', { username: 'Ann' });
      await agree([one, two], 'lobby', ['Ben', 'Ann'], { servers: [server] });
    });

    test('limits: what is just allowed, and what no longer is', async (t) => {
      const { server, clients: [one, two] } = await connected(t, 2, UNLIMITED);
      const name = '😀'.repeat(64); // characters, not bytes and not UTF-16 units
      const room = 'é'.repeat(64); // 128 bytes
      assert.equal((await join(one, room, { username: name })).username, name);
      await join(two, room, { username: 'Ben' });
      await agree([one, two], room, [name, 'Ben'], { servers: [server] });
      refused(await one.ask('join', { room: `${room}x`, username: 'Ann' }), 'bad_room');
      refused(await one.ask('join', { room: 'x'.repeat(129) }), 'bad_room');
      refused(await one.ask('join', { room: 'x', username: '😀'.repeat(65) }), 'bad_username');
      for (const letter of ['x', '😀']) {
        assert.equal((await one.ask('message', { room, content: letter.repeat(4000) })).ok, true);
        refused(await one.ask('message', { room, content: letter.repeat(4001) }), 'bad_message');
      }
      await two.until(() => two.rooms.get(room).said.length === 2, 'the long messages');
      assert.deepEqual(two.rooms.get(room).said.map(({ content }) => content), ['x'.repeat(4000), '😀'.repeat(4000)]);

      // 50 rooms; the one above is the first.
      await Promise.all(Array.from({ length: 49 }, (_, i) => join(one, `room ${i}`, { username: 'Ann' })));
      refused(await one.ask('join', { room: 'one more' }), 'too_many_rooms');
      await join(one, 'room 7', { username: 'Anna' }); // being there already
      await leave(one, 'room 3');
      await join(one, 'one more');
      refused(await one.ask('join', { room: 'room 3' }), 'too_many_rooms');
      await join(two, 'room 7', { username: 'Ben' });
      await agree([one, two], 'room 7', ['Anna', 'Ben'], { servers: [server] });
      await agree([one], 'one more', ['Guest'], { servers: [server] });
      await agree([], 'room 3', [], { servers: [server] });
      one.socket.disconnect();
      await agree([two], 'room 7', ['Ben'], { servers: [server] });
      for (const left of ['room 48', 'one more']) await agree([], left, [], { servers: [server] });
      await agree([two], room, ['Ben'], { servers: [server] });
    });

    test('names that mean something elsewhere are names', async (t) => {
      const { server, clients: [one, two, three] } = await connected(t, 3, UNLIMITED);
      await three.ask('register', { id: 5 });
      const odd = ['__proto__', 'constructor', 'hasOwnProperty', 'user:5', 'room:lobby', 'stage:7', 'race:7', three.socket.id,
        'a/b', '..', '%2F', '?x=1#y', '{rollcall}', '*', '漢字 😀 \u0000\u2028\u202e', '<b>"\\\''];
      for (const name of odd) {
        await join(one, name, { username: name });
        await join(two, name, { username: 'Ben' });
        await agree([one, two], name, [name.trim(), 'Ben'], { servers: name === '..' ? [] : [server] });
        await one.ask('message', { room: name, content: name });
        for (const client of [one, two]) await client.until(() => client.rooms.get(name).said.length === 1, `the message in ${name}`);
        assert.deepEqual([two.rooms.get(name).said[0].username, two.rooms.get(name).said[0].content], [name, name]);
        await one.ask('typing', { room: name });
        assert.deepEqual(await two.sees('typing', (data) => data.room === name), [{ room: name, username: name }]);
      }
      await three.ask('heartbeat');
      // User 5, whose socket and user have rooms of their own inside, is in none of these.
      assert.deepEqual(three.events.filter(({ event }) => /user_(list|joined|left)|message|typing/.test(event)), []);
      // And a message to user 5 does not reach the members of a room of that name.
      let invited;
      three.socket.on('invite', (data) => { invited = data; });
      for (const client of [one, two]) client.socket.on('invite', () => client.faults.push('was invited'));
      await one.ask('invite', { id: 5, url: '/' });
      await three.until(() => invited, 'the invitation');
      for (const client of [one, two]) await client.ask('heartbeat');
      blameless([one, two]);
    });
  });
}

// 300 joins at once are told as a few lists, not as 300 times a growing list.
test('a storm of joins comes as lists', async (t) => {
  const server = await startTarget(t);
  const watchers = await Promise.all(every.map((kind) => member(t, server.url, kind)));
  for (const [n, watcher] of watchers.entries()) await join(watcher, 'lobby', { username: `watcher ${n}` });
  const quiet = { version: '4.8.4', mode: 'websocket', query: { presence: 'none' } };
  const crowd = await Promise.all(Array.from({ length: 300 }, () => connect(t, server.url, quiet)));
  const names = watchers.map((_, n) => `watcher ${n}`);
  await agree(watchers, 'lobby', names);
  const marks = watchers.map((watcher) => watcher.events.length);

  const come = async () => {
    await Promise.all(crowd.map((client, n) => client.ask('join', { room: 'lobby', username: `crowd ${n}` })));
    await agree(watchers, 'lobby', [...names, ...crowd.map((_, n) => `crowd ${n}`)], { servers: [server], ordered: false });
  };
  const go = async () => {
    for (const client of crowd) client.socket.disconnect();
    await agree(watchers, 'lobby', names, { servers: [server] });
  };
  for (const [what, step, size] of [['coming', come, 1], ['going', go, -1]]) {
    await step();
    for (const [n, watcher] of watchers.entries()) {
      const told = watcher.events.slice(marks[n]).filter(({ event }) => /^user_/.test(event));
      marks[n] = watcher.events.length;
      // A client that got the largest step of a list was told of more than 16 at once.
      let before = size > 0 ? names.length : names.length + crowd.length;
      let largest = 0;
      for (const { event, args: [{ count }] } of told) {
        if (event === 'user_list') largest = Math.max(largest, Math.abs(count - before));
        before = count;
      }
      assert.ok(largest > 16, `${what}: ${watcher.name} was told at most ${largest} changes in one list`);
      assert.ok(told.length < 150, `${what}: ${watcher.name} was told ${told.length} times of 300 changes`);
    }
  }
});

// Few changes at a time are told one by one.
test('up to 16 changes are told one by one', async (t) => {
  const server = await startTarget(t);
  const watcher = await member(t, server.url, { version: '4.8.4', mode: 'websocket' });
  await join(watcher, 'lobby', { username: 'Zoe' });
  const crowd = await Promise.all(Array.from({ length: 16 }, () => connect(t, server.url, { version: '4.8.4', mode: 'websocket' })));
  await Promise.all(crowd.map((client, n) => client.ask('join', { room: 'lobby', username: `crowd ${n}` })));
  await watcher.until(() => usersOf(watcher, 'lobby').length === 17, 'everybody');
  assert.equal(watcher.of('user_joined').length, 16);
  for (const client of crowd) client.socket.disconnect();
  await agree([watcher], 'lobby', ['Zoe'], { servers: [server] });
  assert.equal(watcher.of('user_left').length, 16);
  assert.equal(watcher.of('user_list').length, 1);
});

// The members of rooms, and what each is told: twelve mixed clients at once.
test('all members of a room agree, whatever they do at once', async (t) => {
  const server = await startTarget(t, UNLIMITED);
  const members = await Promise.all(every.map((kind) => member(t, server.url, kind)));
  const random = seeded(4);
  const rooms = ['__proto__', 'lobby', '7'];
  const expectedNames = new Map(); // member -> room -> name
  for (const client of members) expectedNames.set(client, new Map());
  for (let round = 0; round < 25; round++) {
    await Promise.all(members.map(async (client) => {
      const room = rooms[random(rooms.length)];
      if (expectedNames.get(client).has(room) && random(3) === 0) {
        expectedNames.get(client).delete(room);
        await leave(client, room);
        return;
      }
      const username = `name ${random(5)}`;
      expectedNames.get(client).set(room, username);
      await join(client, room, { username });
    }));
    for (const room of rooms) {
      const inside = members.filter((client) => expectedNames.get(client).has(room));
      const names = new Set(inside.map((client) => expectedNames.get(client).get(room)));
      await agree(inside, room, [...names], { servers: [server], ordered: false });
      // One instance, one order.
      const { users } = await ask(server, roomPath(room, 'users'));
      await agree(inside, room, users);
    }
  }
});
