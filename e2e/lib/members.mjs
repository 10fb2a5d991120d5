// Clients in chat rooms, each with what an application would show of them.
import assert from 'node:assert/strict';
import { ask, room as roomPath } from './api.mjs';
import { connect } from './clients.mjs';
import { until } from './wait.mjs';

const MESSAGE = { id: 'number', username: 'string', content: 'string', timestamp: 'string' };
const MESSAGE_OF_USER = { ...MESSAGE, user_id: 'string' };

// member connects a client that follows its rooms: client.rooms has, by name,
// {users, said} since it came. What contradicts the protocol is noted in client.faults when it
// comes: a list that is not the one before plus what is told, an event for a
// room that the client is not in, or before its user_list, a message twice or
// out of order.
export async function member(t, url, kind) {
  const client = await connect(t, url, kind);
  client.rooms = new Map();
  client.faults = [];
  client.asked = new Set();
  client.past = []; // {room, said} of the stays that are over
  const hear = (event, act) => client.socket.on(event, (data, ...more) => {
    try {
      assert.equal(more.length, 0, 'one argument');
      assert.ok(client.asked.has(data.room), 'not in this room');
      if (event !== 'user_list') assert.ok(client.rooms.has(data.room), 'no user_list yet');
      act(data, client.rooms.get(data.room));
    } catch (error) {
      client.faults.push(`${client.name}: ${event} ${JSON.stringify(data)}: ${error.message}`);
    }
  });
  const listed = ({ room, users, count }, view) => {
    assert.deepEqual(view.users, users);
    assert.equal(count, users.length);
    assert.equal(new Set(users).size, users.length, 'a name twice');
    assert.equal(typeof room, 'string');
  };
  hear('user_list', (data, view = { said: [] }) => {
    assert.deepEqual(Object.keys(data), ['room', 'users', 'count']);
    view.users = [...data.users];
    client.rooms.set(data.room, view);
    listed(data, view);
  });
  hear('user_joined', (data, view) => {
    assert.deepEqual(Object.keys(data), ['room', 'username', 'users', 'count']);
    assert.ok(!view.users.includes(data.username), 'was there before');
    view.users.push(data.username);
    listed(data, view);
  });
  hear('user_left', (data, view) => {
    assert.deepEqual(Object.keys(data), ['room', 'username', 'users', 'count']);
    assert.ok(view.users.includes(data.username), 'was not there');
    view.users = view.users.filter((name) => name !== data.username);
    listed(data, view);
  });
  hear('message', ({ room, data, ...rest }, view) => {
    assert.deepEqual(rest, {});
    assert.deepEqual(Object.fromEntries(Object.entries(data).map(([key, value]) => [key, typeof value])), 'user_id' in data ? MESSAGE_OF_USER : MESSAGE);
    assert.match(data.timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    if (view.said.length) assert.ok(data.id > view.said.at(-1).id, `id after ${view.said.at(-1).id}`);
    view.said.push(data);
  });
  hear('typing', (data) => assert.deepEqual(Object.keys(data), ['room', 'username']));
  return client;
}

// join enters a room, and waits for the list.
export async function join(client, room, fields) {
  const name = String(room);
  client.asked.add(name);
  const seen = client.of('user_list').length;
  const answer = await client.ask('join', { room, ...fields });
  if (!answer.ok) throw new Error(`join was refused: ${JSON.stringify(answer)}`);
  await client.until(() => client.of('user_list').slice(seen).some(([data]) => data.room === name), `user_list of ${name}`);
  return answer;
}

// leave is over when nothing of the room may come any more.
export async function leave(client, room) {
  const answer = await client.ask('leave', { room });
  client.asked.delete(String(room));
  end(client, String(room));
  return answer;
}

// end notes that a stay is over.
export function end(client, room) {
  if (client.rooms.has(room)) client.past.push({ room, said: client.rooms.get(room).said });
  client.rooms.delete(room);
}

export const usersOf = (client, room) => client.rooms.get(room)?.users;

// agree waits until all of these members show the room as these names, and so
// does each server's GET /api/rooms/:room/users. Members of one instance have
// one order; {ordered} says that the order of names is known too.
export async function agree(clients, room, names, { servers = [], ordered = true, ms } = {}) {
  const form = (list) => list && JSON.stringify(ordered ? list : [...list].sort());
  const want = form(names);
  for (const client of clients) {
    await until(() => form(usersOf(client, room)) === want, `room ${room} to be ${want} (client ${client.name})`,
      { ms, show: () => ({ users: usersOf(client, room), faults: client.faults }) });
  }
  for (const server of servers) {
    let answer;
    await until(async () => {
      answer = await ask(server, roomPath(room, 'users'));
      return form(answer.users) === want;
    }, `GET users of room ${room} to be ${want} (${server.name ?? 'server'})`, { ms, show: () => answer });
    assert.deepEqual(answer, { room, users: answer.users, count: names.length });
  }
  blameless(clients);
}

export function blameless(clients) {
  assert.deepEqual(clients.flatMap((client) => client.faults), []);
}
