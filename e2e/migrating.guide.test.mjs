// The web developer's guide: docs/events.md, rooms.md, racing.md and rails.md.
// Every sample shows what the text around it says.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { runProgram } from './lib/server.mjs';
import { until } from './lib/wait.mjs';
import { anchorsOf, linksOf, readDoc, Samples } from './migrating/samples.mjs';
import { atEnd, clients, joined, Peer, says, serve, shows, Stage, startRails } from './migrating/stage.mjs';

const stage = new Stage();
const [events, rooms, racing, rails] = ['events.md', 'rooms.md', 'racing.md', 'rails.md'].map((doc) => new Samples(doc));
before(() => stage.start());
after(() => stage.stop());

const ada = { id: 7, name: 'Ada' };
const bob = { id: 8, name: 'Bob' };
const given = 'const me = { id: 7, name: "Ada" }; let drawn; const draw = (users) => { drawn = users; };';
const connected = (server, options = {}) => `const socket = io("${server.url}", ${JSON.stringify(options)});`;
const drawnIds = 'drawn?.map(user => user.id)';

// What Chromium notes when the server ends a connection.
const cut = [/^console: WebSocket connection to .* failed: /, /^console: Failed to load resource: /];

// each runs a test with both clients.
const each = (name, body) => clients.forEach((client) => test(`${name} (client ${client})`, (t) => body(t, client)));

describe('events.md', () => {
  test('page: the client that the server serves', async (t) => {
    const server = await serve(t);
    const peer = await joined(t, server, bob);
    const page = await stage.open(t, {
      server, client: null, body: `<script>var drawn; function draw(users) { drawn = users; }</script>${events.take('page', server)}`, scripts: [],
    });
    await shows(page, drawnIds, [8, 7]);
    await peer.sees(8, 7);
  });

  test('npm: a program in Node', async (t) => {
    const server = await serve(t);
    const folder = mkdtempSync(join(tmpdir(), 'rollcall-sample-'));
    const sample = events.take('npm', server).replace('"socket.io-client"', JSON.stringify(import.meta.resolve('client-4.8')));
    const file = join(folder, 'sample.mjs');
    writeFileSync(file, `${sample}
      var me = { id: 7, name: "Ada" };
      function draw(users) { console.log(JSON.stringify(users)); }`);
    const program = runProgram(process.execPath, [file]);
    atEnd(t, async () => {
      await program.stop();
      rmSync(folder, { recursive: true });
    });
    const peer = await joined(t, server, bob);
    await peer.hears('add_user', (user) => user.id === 7);
    await until(() => /"id":7/.test(program.log()) && /"id":8/.test(program.log()), 'the program to draw both', { show: program.log });
  });

  each('answer: a refusal says why', async (t, client) => {
    const server = await serve(t);
    const page = await stage.open(t, { server, client, scripts: ['const me = "Ada";', events.take('answer', server)] });
    await until(() => page.said.some((text) => /^not online: .+ \(bad_user\)$/.test(text)), 'the warning', { show: () => page.said });
  });

  each('refusal: without a callback it comes as an event', async (t, client) => {
    const server = await serve(t);
    const page = await stage.open(t, { server, client, scripts: [connected(server), events.take('refusal', server), 'socket.emit("register", 5); socket.emit("status", "asleep"); socket.emit("frobnicate");'] });
    for (const [event, code] of [['register', 'bad_user'], ['status', 'bad_status'], ['frobnicate', 'unknown_event']]) {
      await until(() => page.said.some((text) => text.startsWith(`${event} was refused: `) && text.endsWith(`(${code})`)), code, { show: () => page.said });
    }
  });

  each('connect-refused: an unknown subscription', async (t, client) => {
    const server = await serve(t);
    const page = await stage.open(t, { server, client, scripts: [connected(server, { query: { presence: 'nonsense' } }), events.take('connect-refused', server)], expected: cut });
    await until(() => page.said.some((text) => /^refused: .+ \(bad_presence\)$/.test(text)), 'the warning', { show: () => page.said });
  });

  each('watch: sees and is not seen', async (t, client) => {
    const server = await serve(t);
    const peer = await joined(t, server, bob);
    const page = await stage.open(t, { server, client, scripts: [given, events.take('watch', server)] });
    await shows(page, drawnIds, [8]);
    await peer.sees(8);
  });

  each('changes: the increments give the list', async (t, client) => {
    const server = await serve(t);
    const peer = await joined(t, server, bob);
    const page = await stage.open(t, { server, client, scripts: [given, events.take('changes', server), 'let lists = 0; socket.on("online_users", () => lists++);'] });
    await shows(page, drawnIds, [8, 7]);
    const cem = await joined(t, server, { id: 9, name: 'Cem' });
    await shows(page, drawnIds, [8, 7, 9]);
    await peer.does('register', { id: 8, name: 'Robert' });
    await shows(page, 'drawn.map(user => user.name)', ['Robert', 'Ada', 'Cem']);
    cem.close();
    await shows(page, drawnIds, [8, 7]);
    await shows(page, 'lists', 1);

    // Who left while the page was away is gone from the list that follows.
    await page.evaluate(() => socket.io.engine.close());
    peer.close();
    await shows(page, 'lists', 2);
    await shows(page, drawnIds, [7]);
  });

  test('count: a number', async (t) => {
    const server = await serve(t);
    const page = await stage.open(t, { server, scripts: [events.take('count', server)] });
    await says(page, '0 online');
    await joined(t, server, bob);
    await says(page, '1 online');
  });

  each('choose: away, hidden and back', async (t, client) => {
    const server = await serve(t);
    const peer = await joined(t, server, bob);
    const page = await stage.open(t, {
      server, client, body: '<select id="status"><option>active<option>away<option>hidden<option>asleep</select>',
      scripts: [given, connected(server), 'socket.on("connect", () => socket.emit("register", me)); socket.on("online_users", draw);', events.take('choose', server)],
    });
    await shows(page, drawnIds, [8, 7]);
    await page.selectOption('#status', 'away');
    await peer.hears('update_user', (user, more) => user.id === 7 && more?.status === 'away');
    peer.socket.emit('sync');
    await peer.hears('online_users', (users, statuses) => users.length === 2 && statuses?.['7'] === 'away');
    await page.selectOption('#status', 'hidden');
    await peer.hears('remove_user', (user, { reason }) => user.id === 7 && reason === 'hidden');
    await peer.sees(8);
    assert.equal((await (await fetch(`${server.url}/api/users/7`)).json()).online, false);
    await page.selectOption('#status', 'active');
    await until(() => peer.of('add_user').filter(([user, more]) => user.id === 7 && more === undefined).length === 2, 'Ada out of hiding');
    await page.selectOption('#status', 'asleep');
    await until(() => page.said.length > 0, 'the refusal', { show: () => page.said });
  });

  each('hide-first: not so much as the arrival is seen, nor a reconnect', async (t, client) => {
    const server = await serve(t);
    const peer = await joined(t, server, bob);
    const page = await stage.open(t, { server, client, scripts: ['localStorage.hidden = "yes";', given, events.take('hide-first', server)] });
    await shows(page, drawnIds, [8]); // sees others
    await page.evaluate(() => { drawn = null; socket.io.engine.close(); });
    await shows(page, drawnIds, [8]);
    await joined(t, server, { id: 9 });
    await peer.sees(8, 9);
    assert.doesNotMatch(JSON.stringify(peer.heard), /Ada/);
    assert.deepEqual(await (await fetch(`${server.url}/api/online_users/count`)).json(), { users: 2, sockets: 2 });
  });

  each('heartbeat: somebody is at the keyboard', async (t, client) => {
    const server = await serve(t, { IDLE_AFTER: '1s' });
    const peer = new Peer(t, server);
    const page = await stage.open(t, {
      server, client, scripts: [given, connected(server), 'socket.on("connect", () => socket.emit("register", me));', events.take('heartbeat', server),
        'let beats = 0; const emit = socket.emit; socket.emit = (event, ...more) => { if (event === "heartbeat") beats++; return emit.call(socket, event, ...more); };'],
    });
    await peer.hears('update_user', (user, more) => user.id === 7 && more?.status === 'away'); // by itself
    await page.keyboard.press('a');
    await peer.hears('update_user', (user, more) => user.id === 7 && more?.status === 'active');
    await page.keyboard.press('b');
    await page.mouse.click(5, 5);
    assert.equal(await page.evaluate('beats'), 1, 'once a minute at most');
  });

  each('statuses: who is away', async (t, client) => {
    const server = await serve(t);
    const peer = await joined(t, server, bob);
    const page = await stage.open(t, { server, client, scripts: [given, events.take('statuses', server)] });
    await shows(page, 'drawn', [{ ...bob, away: false }, { ...ada, away: false }]);
    await peer.does('status', 'away');
    await shows(page, 'drawn', [{ ...bob, away: true }, { ...ada, away: false }]);
    await peer.does('heartbeat');
    await shows(page, 'drawn', [{ ...bob, away: false }, { ...ada, away: false }]);
  });

  each('statuses-changes: who is away, by increments', async (t, client) => {
    const server = await serve(t);
    const peer = await joined(t, server, bob);
    await peer.does('status', 'away');
    const page = await stage.open(t, {
      server, client, scripts: [given, 'let shown; const drawAway = (ids) => { shown = ids; };', events.take('statuses-changes', server)],
    });
    await shows(page, 'shown', ['8']);
    const cem = await joined(t, server, { id: 9, name: 'Cem' });
    await cem.does('status', 'away');
    await shows(page, 'shown', ['8', '9']);
    await cem.does('register', { id: 9, name: 'Djem' }); // an event: active, and new data
    await shows(page, 'shown', ['8']);
    await peer.does('heartbeat');
    await shows(page, 'shown', []);
    await cem.does('status', 'hidden');
    await cem.does('status', 'away'); // out of hiding: added as away
    await shows(page, 'shown', ['9']);
    cem.close();
    await shows(page, 'shown', []);
  });

  each('signed-out: all tabs go where the page sends them', async (t, client) => {
    const server = await serve(t, { API_KEY: 'the-key-of-this-test' });
    const peer = await joined(t, server, bob);
    const tabs = await Promise.all([1, 2].map(() => stage.open(t, {
      server, client, expected: cut, scripts: [given, connected(server), 'socket.on("connect", () => socket.emit("register", me));', events.take('signed-out', server)],
    })));
    await until(async () => (await (await fetch(`${server.url}/api/online_users/count`)).json()).sockets === 3, 'both tabs and Bob');
    const answer = await fetch(`${server.url}/api/users/7`, { method: 'DELETE', headers: { Authorization: 'Bearer the-key-of-this-test' } });
    assert.deepEqual(await answer.json(), { id: '7', sockets: 2 });
    for (const tab of tabs) await tab.waitForURL(`${stage.origin}/login`);
    await peer.hears('remove_user', (user, { reason }) => user.id === 7 && reason === 'signed_out');
  });

  test('signed out: disconnected by the server, and no coming back', async (t) => {
    const server = await serve(t, { API_KEY: 'the-key-of-this-test' });
    const peer = await joined(t, server, ada, { reconnection: true });
    let reason;
    peer.socket.on('disconnect', (why) => { reason = why; });
    await fetch(`${server.url}/api/users/7`, { method: 'DELETE', headers: { Authorization: 'Bearer the-key-of-this-test' } });
    await until(() => reason, 'the disconnect');
    assert.equal(reason, 'io server disconnect');
    assert.deepEqual(peer.of('signed_out'), [[]]);
    assert.equal(peer.socket.active, false);
  });

  test('every sample was run', () => assert.deepEqual(events.unread(), []));
});

describe('rooms.md', () => {
  const chat = (server) => [given, `
    let shown, members, typist;
    const drawMessages = (messages) => { shown = messages.map(({ username, content }) => [username, content]); };
    const drawMembers = (users, count) => { members = [users, count]; };
    const drawTyping = (username) => { typist = username; };`, rooms.take('chat', server)];

  each('chat: what was said before, and since', async (t, client) => {
    const server = await serve(t);
    const peer = new Peer(t, server);
    assert.deepEqual(await peer.ask('join', { room: 'lobby', username: ' Bob ' }), { ok: true, room: 'lobby', username: 'Bob' });
    await peer.does('message', { room: 'lobby', content: 'hello?' });
    const page = await stage.open(t, { server, client, scripts: chat(server), expected: [/^dialog: /] });
    await shows(page, 'shown', [['Bob', 'hello?']]);
    await shows(page, 'members', [['Bob', 'Ada'], 2]);
    await page.evaluate(() => say('hello, Bob'));
    await shows(page, 'shown', [['Bob', 'hello?'], ['Ada', 'hello, Bob']]);
    const [{ room, data }] = await peer.hears('message', ({ data }) => data.username === 'Ada');
    assert.deepEqual(Object.keys(data), ['id', 'username', 'content', 'timestamp']);
    assert.equal(room, 'lobby');
    assert.match(data.timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    await peer.does('typing', { room: 'lobby' });
    await shows(page, 'typist', 'Bob');

    // What cannot be said is answered: the sample shows it in a dialog.
    const asked = page.waitForEvent('dialog');
    await page.evaluate(() => say(' '));
    assert.notEqual((await asked).message(), '');

    // A reconnect joins again, and nothing is shown twice.
    await page.evaluate(() => socket.io.engine.close());
    await peer.hears('user_left', ({ username }) => username === 'Ada');
    await until(() => peer.of('user_joined').length === 2, 'Ada to be back');
    await peer.does('message', { room: 'lobby', content: 'again' });
    await shows(page, 'shown', [['Bob', 'hello?'], ['Ada', 'hello, Bob'], ['Bob', 'again']]);
    assert.deepEqual(await (await fetch(`${server.url}/api/rooms/lobby/users`)).json(), { room: 'lobby', users: ['Bob', 'Ada'], count: 2 });
  });

  each('join: learns what it is called', async (t, client) => {
    const server = await serve(t);
    const page = await stage.open(t, { server, client, scripts: [connected(server), rooms.take('join', server)] });
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

  test('every sample was run', () => assert.deepEqual(rooms.unread(), []));
});

describe('racing.md', () => {
  const player = (user) => `
    const me = ${JSON.stringify(user)}, token = "derby", raceId = "heat-1";
    let racers, cars, track;
    const invites = [], speeds = [];
    const drawRacers = (all) => { racers = all.map(one => one.id); };
    const drawCars = (all) => { cars = all.map(one => one.id); };
    const drawSpeed = (id, speed) => speeds.push([id, speed]);
    const drawInvite = (text, url) => invites.push([text, url]);
    const begin = (id) => { track = id; };`;
  const open = (t, server, client, user, ...names) => stage.open(t, {
    server, client, expected: [/^dialog: /],
    scripts: [player(user), ...names.map((name) => (name === 'connected' ? connected(server) : racing.take(name, server)))],
  });

  each('invite: only the invited hears it', async (t, client) => {
    const server = await serve(t);
    const pages = [];
    for (const user of [ada, bob, { id: 9, name: 'Cem' }]) {
      const page = await open(t, server, client, user, 'connected', 'invite');
      await page.evaluate(() => new Promise((resolve) => socket.emit('register', me, resolve)));
      pages.push(page);
    }
    await pages[0].evaluate(() => invite({ id: 8 }));
    await shows(pages[1], 'invites', [['Ada waits for you', '/stages/derby']]);
    await pages[1].evaluate(() => invite({ id: 9 }));
    await shows(pages[2], 'invites', [['Bob waits for you', '/stages/derby']]);
    await shows(pages[0], 'invites', []);
    await shows(pages[1], 'invites.length', 1);
  });

  each('stage and stands: who is there, and the start', async (t, client) => {
    const server = await serve(t, { RAILS_URL: await startRails(t) });
    const first = await open(t, server, client, ada, 'stage');
    await shows(first, 'racers', [7]);
    const tribune = await open(t, server, client, { id: 1 }, 'watch');
    await shows(tribune, 'racers', [7]);
    await shows(tribune, 'cars', []);
    const second = await open(t, server, client, bob, 'stage');
    for (const page of [first, second, tribune]) await shows(page, 'racers', [7, 8]);
    const outsider = new Peer(t, server);
    await outsider.does('sync');
    await second.evaluate(() => start());
    for (const page of [first, second]) await shows(page, 'track', 11);
    assert.equal((await outsider.ask('start_race_derby', {})).error, 'not_in_stage');
    await first.close();
    for (const page of [second, tribune]) await shows(page, 'racers', [8]);
    assert.deepEqual(outsider.heard.filter(([event]) => /stage|race/.test(event)), [], 'it concerns only those who take part or watch');
  });

  test('stage: without tracks the refusal is shown', async (t) => {
    const server = await serve(t);
    const page = await open(t, server, '4.8', ada, 'stage');
    await shows(page, 'racers', [7]);
    const asked = page.waitForEvent('dialog');
    await page.evaluate(() => start());
    assert.notEqual((await asked).message(), '');
    const peer = new Peer(t, server);
    await peer.does('join_stage', { token: 'derby', id: 8 });
    assert.equal((await peer.ask('start_race_derby', {})).error, 'no_tracks');
  });

  each('race: cars and speeds, for the stands too', async (t, client) => {
    const server = await serve(t);
    const tribune = await open(t, server, client, { id: 1 }, 'watch');
    const first = await open(t, server, client, ada, 'race');
    await shows(first, 'cars', [7]);
    const second = await open(t, server, client, bob, 'race');
    for (const page of [first, second, tribune]) await shows(page, 'cars', [7, 8]);
    await second.evaluate(() => drive(72.5));
    for (const page of [first, second, tribune]) await shows(page, 'speeds', [[8, 72.5]]);
    const outsider = new Peer(t, server);
    assert.equal((await outsider.ask('update_heat-1_speed', { id: 8, speed: 1 })).error, 'not_in_race');
    await first.close();
    const late = await open(t, server, client, { id: 2 }, 'watch');
    await shows(late, 'cars', [7, 8]); // a car stays
  });

  test('the codes are those of the table', async (t) => {
    const server = await serve(t);
    const peer = new Peer(t, server);
    const code = async (event, argument) => (await peer.ask(event, argument)).error;
    assert.equal(await code('invite', { url: '/' }), 'bad_invite');
    assert.equal(await code('join_stage', { id: 1 }), 'bad_stage');
    assert.equal(await code('add_car', { id: 1 }), 'bad_car');
    assert.equal(await code('watch_stage', { id: 1 }), 'bad_stage');
    assert.equal(await code('watch_race', { id: 1 }), 'bad_race');
    assert.equal(await code('join_stage', { token: 't', id: 1, more: 'x'.repeat(4096) }), 'too_large');
    assert.equal(await code('add_car', { race_id: 't', id: 1, more: 'x'.repeat(4096) }), 'too_large');
    await peer.does('register', ada);
    await peer.does('status', 'hidden');
    assert.equal(await code('join_stage', { token: 't', id: 1 }), 'hidden');
    assert.equal(await code('add_car', { race_id: 't', id: 1 }), 'hidden');
  });

  test('every sample was run', () => assert.deepEqual(racing.unread(), []));
});

describe('rails.md', () => {
  test('change: the number in the title', async (t) => {
    const server = await serve(t);
    const page = await stage.open(t, {
      server, client: null, scripts: [rails.take('change', server)],
      body: `<script src="${server.url}/rollcall.js" defer></script><rollcall-online user='${JSON.stringify(ada)}'></rollcall-online>`,
    });
    await shows(page, 'document.title', '(1) A page');
    await joined(t, server, bob);
    await shows(page, 'document.title', '(2) A page');
  });

  test('every sample was run', () => assert.deepEqual(rails.unread(), []));
});

test('every link between the documents leads somewhere', () => {
  const texts = Object.fromEntries(['events', 'rooms', 'racing', 'rails', 'redis', 'migrating', 'architecture', 'performance'].map((name) => [`${name}.md`, readDoc(`${name}.md`)]));
  let checked = 0;
  for (const [doc, text] of Object.entries(texts)) {
    for (const link of linksOf(text)) {
      const [file, anchor] = link.split('#');
      if (/^https?:/.test(link) || (file && !file.endsWith('.md'))) continue;
      const target = file ? texts[file] ?? readDoc(file) : text;
      if (anchor) assert.ok(anchorsOf(target).includes(anchor), `${doc} links to ${link}, and there is no such heading`);
      checked++;
    }
  }
  assert.ok(checked > 20, `only ${checked} links found`);
});

test('a name that is missing, double or unknown is noticed', () => {
  assert.throws(() => new Samples('x', '```js\n1;\n```\n'), /without a name/);
  assert.throws(() => new Samples('x', '```js a\n1;\n```\n```html a\n2\n```\n'), /two blocks named a/);
  const samples = new Samples('x', '```js before\n0;\n```\n```js a\nio("https://rollcall.example.com")\n```\n```ruby\nputs 1\n```\n');
  assert.deepEqual(samples.unread(), ['a']);
  assert.throws(() => samples.take('b', { url: 'x' }), /no sample named b/);
  assert.equal(samples.take('a', { url: 'http://here' }), 'io("http://here")\n');
  assert.deepEqual(samples.unread(), []);
});
