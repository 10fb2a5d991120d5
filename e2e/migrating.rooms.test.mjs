// docs/how-to/chat-rooms.md: every sample shows what the text says; refusals are those of docs/reference/events.md.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { versions } from './lib/clients.mjs';
import { startProxy } from './lib/proxy.mjs';
import { until } from './lib/wait.mjs';
import { Samples } from './migrating/samples.mjs';
import { atEnd, connected, eachClient, Peer, says, serve, shows, Fixture } from './migrating/fixture.mjs';

const fixture = new Fixture();
const samples = new Samples('how-to/chat-rooms.md');
before(() => fixture.start());
after(() => fixture.stop());

const given = 'const me = { id: 7, name: "Ada" };';

describe('chat-rooms.md', { concurrency: 2 }, () => {
  const chat = (server) => [given, `
    let shown, members, typist;
    const drawMessages = (messages) => { shown = messages.map(({ username, content }) => [username, content]); };
    const drawMembers = (users, count) => { members = [users, count]; };
    const drawTyping = (username) => { typist = username; };`, samples.take('chat', server)];

  eachClient('chat: what was said before, and since', async (t, client) => {
    const server = await serve(t);
    const peer = new Peer(t, server);
    assert.deepEqual(await peer.ask('join', { room: 'lobby', username: ' Bob ' }), { ok: true, room: 'lobby', username: 'Bob' });
    await peer.hears('user_list'); // before others join: they may be in it
    await peer.does('message', { room: 'lobby', content: 'hello?' });
    const page = await fixture.open(t, { server, client, scripts: chat(server), expected: [/^dialog: /] });
    await shows(page, 'shown', [['Bob', 'hello?']]);
    await shows(page, 'members', [['Bob', 'Ada'], 2]);
    await page.evaluate(() => post('hello, Bob'));
    await shows(page, 'shown', [['Bob', 'hello?'], ['Ada', 'hello, Bob']]);
    const [{ room, data }] = await peer.hears('message', ({ data }) => data.username === 'Ada');
    assert.deepEqual(Object.keys(data), ['id', 'username', 'content', 'timestamp']);
    assert.equal(room, 'lobby');
    assert.match(data.timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    await peer.does('typing', { room: 'lobby' });
    await shows(page, 'typist', 'Bob');

    // What cannot be said is answered: the sample shows it in a dialog.
    const asked = page.waitForEvent('dialog');
    await page.evaluate(() => post(' '));
    assert.notEqual((await asked).message(), '');

    // A reconnect joins again, and nothing is shown twice.
    await page.evaluate(() => socket.io.engine.close());
    await peer.hears('user_left', ({ username }) => username === 'Ada');
    await until(() => peer.of('user_joined').length === 2, 'Ada to be back');
    await peer.does('message', { room: 'lobby', content: 'again' });
    await shows(page, 'shown', [['Bob', 'hello?'], ['Ada', 'hello, Bob'], ['Bob', 'again']]);
    assert.deepEqual(await (await fetch(`${server.url}/api/rooms/lobby/users`)).json(), { room: 'lobby', users: ['Bob', 'Ada'], count: 2 });
  });

  // The sample as a program, with every version that Node runs; 1.3 has a page.
  for (const [version, { io }] of Object.entries(versions)) {
    test(`chat: what is said while offline arrives once and in order (client ${version})`, async (t) => {
      const server = await serve(t);
      const proxy = await startProxy({ after: (end) => atEnd(t, end) }, server.port);
      const peer = new Peer(t, server);
      await peer.does('join', { room: 'lobby', username: 'Bob' });
      await peer.hears('user_list');
      let shown = [];
      const asked = [];
      const make = new Function('io', 'me', 'drawMessages', 'drawMembers', 'drawTyping', 'alert',
        `${samples.take('chat', { url: proxy.url })}\nreturn { socket, post, outbox };`);
      const { socket, post, outbox } = make(io, { name: 'Ada' }, (messages) => { shown = messages.map(({ content }) => content); }, () => {}, () => {}, (text) => asked.push(text));
      atEnd(t, () => socket.disconnect());
      await peer.hears('user_joined', ({ username }) => username === 'Ada');
      post('first');
      await peer.hears('message', ({ data }) => data.content === 'first');

      await until(() => outbox.length === 0, 'its acknowledgement');

      // The next one arrives, but its acknowledgement does not.
      proxy.mute(true);
      post('acknowledgement lost');
      await peer.hears('message', ({ data }) => data.content === 'acknowledgement lost');
      proxy.cut();
      await until(() => !socket.connected, 'the disconnect');
      proxy.mute(false);
      for (const content of ['offline', 'still offline']) post(content);
      let naive; // the control: what the client itself kept
      socket.emit('message', { room: 'lobby', content: 'kept by the client' }, (answer) => { naive = answer; });
      await until(() => naive, 'an answer to what the client kept');
      if (['2.5.0', '4.8.4'].includes(version)) assert.equal(naive.error, 'not_in_room', 'it comes before the room is joined');

      const all = ['first', 'acknowledgement lost', 'offline', 'still offline'];
      const fits = (texts) => JSON.stringify(texts.filter((text) => text !== 'kept by the client')) === JSON.stringify(all);
      const heard = () => peer.of('message').map(([{ data }]) => data.content);
      await until(() => heard().includes('still offline'), 'the last one', { show: heard });
      await until(() => fits(shown), 'all of them', { show: () => shown });
      assert.ok(fits(heard()), `heard: ${heard()}`);
      const kept = await (await fetch(`${server.url}/api/rooms/lobby/messages`)).json();
      assert.ok(fits(kept.map(({ content }) => content)), JSON.stringify(kept));
      assert.deepEqual(asked, []);
    });
  }

  eachClient('chat: said while offline, in a page', async (t, client) => {
    const server = await serve(t);
    const peer = new Peer(t, server);
    await peer.does('join', { room: 'lobby', username: 'Bob' });
    const page = await fixture.open(t, { server, client, scripts: chat(server) });
    await shows(page, 'members', [['Bob', 'Ada'], 2]);
    await page.evaluate(() => { socket.io.engine.close(); post('one'); post('two'); });
    await shows(page, 'shown', [['Ada', 'one'], ['Ada', 'two']]);
    await shows(page, 'outbox.length', 0);
    await peer.hears('message', ({ data }) => data.content === 'two');
    assert.deepEqual(peer.of('message').map(([{ data }]) => data.content), ['one', 'two']);
  });

  eachClient('join: learns what it is called', async (t, client) => {
    const server = await serve(t);
    const page = await fixture.open(t, { server, client, scripts: [connected(server), samples.take('join', server)] });
    await says(page, 'in 7 as speedy');
  });

  test('the codes are those of the table', async (t) => {
    const server = await serve(t, { EVENTS_BURST: '1000' });
    const peer = new Peer(t, server);
    const code = async (event, argument) => (await peer.ask(event, argument)).error;
    assert.equal(await code('join', 5), 'bad_room');
    assert.equal(await code('join', { room: 'x'.repeat(129) }), 'bad_room');
    assert.equal(await code('join', { room: 'r', username: 'x'.repeat(65) }), 'bad_username');
    for (const event of ['leave', 'typing']) assert.equal(await code(event, { room: 'r' }), 'not_in_room');
    assert.equal(await code('message', { room: 'r', content: 'x' }), 'not_in_room');
    await peer.does('join', { room: 'r' });
    for (const content of [undefined, 5, ' ', 'x'.repeat(4001)]) assert.equal(await code('message', { room: 'r', content }), 'bad_message');
    await peer.does('message', { room: 'r', content: 'x'.repeat(4000) });
    for (let n = 1; n < 50; n++) await peer.does('join', { room: n });
    assert.equal(await code('join', { room: 'one more' }), 'too_many_rooms');
  });
});

test('every sample was run', () => assert.deepEqual(samples.unread(), []));
