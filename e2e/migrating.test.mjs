// docs/how-to/migrate: every "after" shows what the text says, in a page of
// another origin. What belongs to the application (its collections, functions
// that draw) is given here; the rest is the document's, word for word.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, before, describe, test } from 'node:test';
import { names } from './lib/browser.mjs';
import { startReference } from './lib/reference.mjs';
import { until } from './lib/wait.mjs';
import { Samples } from './migrating/samples.mjs';
import { atEnd, clients, joined, Peer, serve, shows, Fixture, startRails } from './migrating/fixture.mjs';

const require = createRequire(import.meta.url);
const backbone = ['underscore/underscore-umd.js', 'backbone/backbone.js'].map((file) => readFileSync(require.resolve(file), 'utf8'));

const fixture = new Fixture();
const samples = new Samples([
  'how-to/migrate/node.md', 'how-to/migrate/pusher.md', 'how-to/migrate/actioncable.md', 'how-to/migrate/sinatra.md', 'how-to/migrate/userid.md',
]);
before(() => fixture.start());
after(() => fixture.stop());

const racer = (id) => ({ id, nickname: `racer ${id}` });
const ids = (collection) => `${collection}.map(one => one.id)`;

// application is what the original app has beside its socket.
const application = (user) => [...backbone, `
  var CURRENT_RACER = ${JSON.stringify(user)}, token = 'derby', invites = [], begun = [];
  var onlineUsers = new Backbone.Collection(), stage = new Backbone.Collection(), race = new Backbone.Collection();
  function showInvite(data) { invites.push(data.url); }
  function begin(track) { begun.push(track); }
`];

describe('the Node service of code_racer', { concurrency: 2 }, () => {
  for (const client of clients) {
    for (const compat of ['default', 'strict']) {
      test(`client ${client}, COMPAT=${compat}`, async (t) => {
        const server = await serve(t, { COMPAT: compat, RAILS_URL: await startRails(t) });
        const open = (id, sample) => fixture.open(t, { server, client, scripts: [...application(racer(id)), sample] });
        const ada = await open(1, samples.take('racer', server));
        await shows(ada, ids('onlineUsers'), [1]);
        await shows(ada, ids('stage'), [1]);
        const bob = await open(2, samples.take('racer', server));
        const tribune = await open(9, `var socket = io('${server.url}');${samples.take('racer-watch', server)}`);
        for (const page of [ada, bob]) await shows(page, ids('onlineUsers'), [1, 2]);
        for (const page of [ada, bob, tribune]) await shows(page, ids('stage'), [1, 2]);

        await ada.evaluate(() => socket.emit('invite', { id: 2, url: '/stages/derby', nickname: 'racer 1' }));
        await shows(bob, 'invites', ['/stages/derby']);
        await ada.evaluate(() => start());
        for (const page of [ada, bob]) await shows(page, 'begun', [11]);
        assert.deepEqual(await ada.evaluate('invites'), [], 'an invite is for one');

        await ada.evaluate(() => drive('heat-1'));
        await shows(ada, ids('race'), [1]);
        await bob.evaluate(() => drive('heat-1'));
        for (const page of [ada, bob]) await shows(page, ids('race'), [1, 2]);
        await bob.evaluate(() => type('heat-1', 72));
        await shows(ada, 'race.get(2).get("speed")', 72);

        // After a reconnect the page is in the list and on the stage again.
        const peer = new Peer(t, server);
        await peer.does('sync');
        await bob.evaluate(() => socket.io.engine.close());
        await peer.hears('remove_user', (user) => user.id === 2);
        await peer.hears('add_user', (user) => user.id === 2);
        for (const page of [ada, bob]) await shows(page, ids('onlineUsers'), [1, 2]);
        await shows(ada, ids('stage'), [1, 2]);

        await bob.close();
        await shows(ada, ids('onlineUsers'), [1]);
        const left = compat === 'strict' ? [1, 2] : [1]; // a stage forgets who disconnects
        for (const page of [ada, tribune]) await shows(page, ids('stage'), left);
      });
    }
  }

  test('a list has one element for a user; strict, one for a tab', async (t) => {
    for (const [compat, expected] of [['default', [1]], ['strict', [1, 1]]]) {
      const server = await serve(t, { COMPAT: compat });
      await joined(t, server, racer(1));
      const second = await joined(t, server, racer(1));
      await second.sees(...expected);
    }
  });
});

describe('code_racer before Node', { concurrency: 2 }, () => {
  for (const client of clients) {
    test(`client ${client}`, async (t) => {
      const server = await serve(t);
      const ada = await joined(t, server, racer(1));
      const page = await fixture.open(t, { server, client, scripts: [...application(racer(2)), samples.take('pusher', server)] });
      await shows(page, ids('onlineUsers'), [1, 2]);
      const bob = await joined(t, server, racer(3));
      await shows(page, ids('onlineUsers'), [1, 2, 3]);
      await ada.does('register', { id: 1, nickname: 'renamed' });
      await shows(page, 'onlineUsers.get(1).get("nickname")', 'renamed');
      bob.close();
      await shows(page, ids('onlineUsers'), [1, 2]);
      await page.close();
      await ada.hears('remove_user', (user) => user.id === 2);
    });
  }
});

test('both side by side: the old one draws, the new one is counted', async (t) => {
  const server = await serve(t);
  const old = await startReference();
  atEnd(t, () => old.stop());
  const page = await fixture.open(t, {
    server,
    scripts: [`
      const me = { id: 1, name: 'Ada' }, drawn = [], reported = [];
      const report = (service, n) => reported.push([service, n]);
      const current = io('${old.url}');
      current.on('connect', () => current.emit('register', me));
      current.on('online_users', (users) => drawn.push(users.length));`, samples.take('shadow', server)],
  });
  await shows(page, 'drawn.at(-1)', 1);
  await shows(page, 'reported.at(-1)', ['rollcall', 1]);
  for (const url of [old.url, server.url]) await joined(t, { url }, { id: 2, name: 'Bob' });
  await shows(page, 'drawn.at(-1)', 2);
  await shows(page, 'reported.at(-1)', ['rollcall', 2]);
  assert.deepEqual(await (await fetch(`${server.url}/api/online_users/count`)).json(), { users: 2, sockets: 2 });
});

describe('Action Cable, Kredis and Turbo Streams', { concurrency: 2 }, () => {
  test('one tag', async (t) => {
    const server = await serve(t);
    await joined(t, server, { id: 1, name: 'Bob' });
    const page = await fixture.open(t, { server, client: null, body: samples.take('widget', server), scripts: [] });
    await until(async () => (await names(page)).sort().join() === 'Ada,Bob', 'both in the list');
  });

  const rows = '[...document.querySelectorAll("#users-list > div")].map(row => [row.id, row.textContent])';
  const open = (t, server, me, body = '<div id="users-list"><div id="user_99">from the server</div></div>') => fixture.open(t, {
    server, body, scripts: [`const me = ${JSON.stringify(me)};`, samples.take('turbo', server)],
  });

  test('your own markup: newest first, by the ids of the stream', async (t) => {
    const server = await serve(t);
    const bob = await joined(t, server, { id: 2, name: 'Bob' });
    const page = await open(t, server, { id: 1, name: 'Ada' });
    await shows(page, rows, [['user_1', 'Ada'], ['user_2', 'Bob']]);
    const cem = await joined(t, server, { id: 3, name: '<b>Cem</b>' });
    await shows(page, rows, [['user_3', '<b>Cem</b>'], ['user_1', 'Ada'], ['user_2', 'Bob']]);
    await bob.does('register', { id: 2, name: 'Robert' });
    await shows(page, rows, [['user_3', '<b>Cem</b>'], ['user_1', 'Ada'], ['user_2', 'Robert']]);

    // Turbo shows another page, rendered a while ago.
    await page.evaluate(() => {
      document.body.innerHTML = '<div id="users-list"><div id="user_77">long gone</div></div>';
      document.dispatchEvent(new Event('turbo:load'));
    });
    await shows(page, rows, [['user_3', '<b>Cem</b>'], ['user_1', 'Ada'], ['user_2', 'Robert']]);

    // The last tab counts.
    const again = await joined(t, server, { id: 3, name: '<b>Cem</b>' });
    again.close();
    await bob.does('unregister');
    await shows(page, rows, [['user_3', '<b>Cem</b>'], ['user_1', 'Ada']]);
    cem.close();
    await shows(page, rows, [['user_1', 'Ada']]);
  });

  test('nobody signed in: sees, is not listed, and survives a page without the list', async (t) => {
    const server = await serve(t);
    const bob = await joined(t, server, { id: 2, name: 'Bob' });
    const page = await open(t, server, null);
    await shows(page, rows, [['user_2', 'Bob']]);
    await page.evaluate(() => document.getElementById('users-list').remove());
    const cem = await joined(t, server, { id: 3, name: 'Cem' });
    cem.close();
    await page.evaluate(() => { document.body.innerHTML = '<div id="users-list"></div>'; document.dispatchEvent(new Event('turbo:load')); });
    await shows(page, rows, [['user_2', 'Bob']]);
    await bob.sees(2);
  });
});

test('Action Cable: a PresenceChannel, and one of a room', async (t) => {
  const server = await serve(t);
  const bob = await joined(t, server, { id: 2, name: '<i>Bob</i>' });
  await bob.does('join', { room: 'room-5', username: 'Bob' });
  const page = await fixture.open(t, {
    server,
    body: '<div id="online-users"></div>',
    scripts: [`
      const me = { id: 1, name: 'Ada' }, roomId = 'room-5';
      let drawn;
      const drawRoom = (...what) => { drawn = what; };`,
    samples.take('presence', server), samples.take('room-presence', server)],
  });
  const list = '[document.querySelector("h4").textContent, ...[...document.querySelectorAll("li")].map(li => [li.dataset.userId, li.textContent])]';
  await shows(page, list, ['Online (2)', ['2', '<i>Bob</i>'], ['1', 'Ada']]);
  await shows(page, 'drawn', ['room-5', ['Bob', 'Ada'], 2]);
  const cem = await joined(t, server, { id: 3, name: 'Cem' });
  await cem.does('join', { room: 'room-5', username: 'Cem' });
  await shows(page, 'drawn', ['room-5', ['Bob', 'Ada', 'Cem'], 3]);
  await bob.does('leave', { room: 'room-5' });
  await shows(page, 'drawn', ['room-5', ['Ada', 'Cem'], 2]);
  cem.close();
  await shows(page, 'drawn', ['room-5', ['Ada'], 1]);
  await shows(page, list, ['Online (2)', ['2', '<i>Bob</i>'], ['1', 'Ada']]);

  // A page without the container is none of its business.
  await page.evaluate(() => document.getElementById('online-users').remove());
  const dan = await joined(t, server, { id: 4, name: 'Dan' });
  await dan.does('join', { room: 'room-5', username: 'Dan' });
  await shows(page, 'drawn', ['room-5', ['Ada', 'Dan'], 2]);
});

// What the chat's page has and keeps.
const chatPage = `
  <div class="chat-header"></div><div id="messages"></div>
  <input id="username" value=" Ada "><input id="message">`;
const chatDrawing = `
  const ROOM_ID = 'lobby';
  let members = [], typist;
  const lines = [];
  const updateUserList = (users) => { members = users; };
  const showTypingIndicator = (username) => { typist = username; };
  const showSystemMessage = (text) => lines.push(text);
  const displayMessage = ({ username, content, timestamp }) => lines.push([username, content, !Number.isNaN(Date.parse(timestamp))]);`;

describe('the Sinatra chat', { concurrency: 2 }, () => {
  for (const client of clients) {
    test(`client ${client}`, async (t) => {
      const server = await serve(t);
      const bob = new Peer(t, server);
      await bob.does('join', { room: 'lobby', username: 'Bob' });
      await bob.hears('user_list'); // before others join: they may be in it
      await bob.does('message', { room: 'lobby', content: 'anybody here?' });
      const page = await fixture.open(t, { server, client, body: chatPage, scripts: [chatDrawing, samples.take('chat', server), 'connect();'] });
      const lines = [['Bob', 'anybody here?', true]];
      await shows(page, 'lines', lines);
      await shows(page, 'members', ['Bob', 'Ada']);
      await bob.hears('user_joined', ({ username, count }) => username === 'Ada' && count === 2);

      const write = (text) => page.evaluate((content) => { document.getElementById('message').value = content; sendMessage(); }, text);
      await write('I am');
      lines.push(['Ada', 'I am', true]);
      await shows(page, 'lines', lines);
      await shows(page, 'document.getElementById("message").value', '');
      await bob.hears('message', ({ room, data }) => room === 'lobby' && data.username === 'Ada' && data.content === 'I am');
      await write('   '); // nothing to send

      await page.evaluate(() => { for (let i = 0; i < 100; i++) notifyTyping(); });
      await bob.hears('typing', ({ room, username }) => room === 'lobby' && username === 'Ada');
      await bob.does('typing', { room: 'lobby' });
      await shows(page, 'typist', 'Bob');

      const cem = new Peer(t, server);
      await cem.does('join', { room: 'lobby', username: 'Cem' });
      lines.push('Cem joined the room');
      await shows(page, 'members', ['Bob', 'Ada', 'Cem']);
      cem.close();
      lines.push('Cem left the room');
      await shows(page, 'lines', lines);

      await write('x'.repeat(4001));
      await until(async () => (await page.evaluate('lines.length')) === lines.length + 1, 'the refusal to be shown');
      const refusal = await page.evaluate('lines.pop()');
      assert.equal(typeof refusal, 'string');
      assert.match(refusal, /4,?000/);

      // The history comes again after a reconnect, and is not shown again.
      await page.evaluate(() => {
        socket.io.engine.close();
        document.getElementById('message').value = 'said offline';
        sendMessage();
      });
      lines.push(['Ada', 'said offline', true]);
      await bob.hears('user_left', ({ username }) => username === 'Ada');
      await until(() => bob.of('user_joined').filter(([{ username }]) => username === 'Ada').length === 2, 'Ada to be back');
      await bob.hears('message', ({ data }) => data.content === 'said offline');
      await bob.does('message', { room: 'lobby', content: 'welcome back' });
      lines.push(['Bob', 'welcome back', true]);
      await shows(page, 'lines', lines);
      assert.equal(bob.of('typing').length, 1, 'typing is told once a second at most');
    });
  }
});

describe('Socket.IO with ?userId=', { concurrency: 2 }, () => {
  for (const client of clients) {
    test(`client ${client}`, async (t) => {
      const server = await serve(t);
      const open = () => fixture.open(t, { server, client, scripts: ['let drawn; const draw = (ids) => { drawn = ids; };', samples.take('userid', server)] });
      const [first, second] = [await open(), await open()];
      await shows(first, 'drawn', ['your_user_id']);
      await shows(second, 'drawn', ['your_user_id']);
      const bob = new Peer(t, server, { query: { userId: 'bob' } });
      await bob.hears('updateOnlineUsers', (users) => users.bob && users.your_user_id);
      await shows(first, 'drawn.sort()', ['bob', 'your_user_id']);

      const answer = await (await fetch(`${server.url}/api/users/your_user_id`)).json();
      assert.equal(answer.online, true);
      assert.equal(answer.status, 'active');

      // The second tab keeps the name in the list.
      await first.close();
      await until(async () => (await (await fetch(`${server.url}/api/online_users/count`)).json()).sockets === 2, 'the first tab to be gone');
      await joined(t, server, { id: 'cem' });
      await bob.hears('updateOnlineUsers', (users) => users.cem && users.your_user_id);
      await second.close();
      await bob.hears('updateOnlineUsers', (users) => users.cem && !users.your_user_id);
    });
  }
});

test('every sample was run', () => assert.deepEqual(samples.unread(), []));
