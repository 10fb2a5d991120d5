// docs/how-to: every sample about the list and about tokens shows what the text around it says.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { runProgram } from './lib/server.mjs';
import { jwt, SECRET, seconds, startAuth } from './lib/tokens.mjs';
import { until } from './lib/wait.mjs';
import { Samples } from './migrating/samples.mjs';
import { atEnd, connected, cut, eachClient, joined, Peer, says, serve, shows, Fixture } from './migrating/fixture.mjs';

const fixture = new Fixture();
const samples = new Samples(['how-to/show-a-list.md', 'how-to/sign-users-in.md']);
before(() => fixture.start());
after(() => fixture.stop());

const ada = { id: 7, name: 'Ada' };
const bob = { id: 8, name: 'Bob' };
const given = 'const me = { id: 7, name: "Ada" }; let drawn; const draw = (users) => { drawn = users; };';
const drawnIds = 'drawn?.map(user => user.id)';

describe('show-a-list.md and sign-users-in.md', { concurrency: 2 }, () => {
  test('page: the client that the server serves', async (t) => {
    const server = await serve(t);
    const peer = await joined(t, server, bob);
    const page = await fixture.open(t, {
      server, client: null, body: `<script>var drawn; function draw(users) { drawn = users; }</script>${samples.take('page', server)}`, scripts: [],
    });
    await shows(page, drawnIds, [8, 7]);
    await peer.sees(8, 7);
  });

  test('npm: a program in Node', async (t) => {
    const server = await serve(t);
    const folder = mkdtempSync(join(tmpdir(), 'rollcall-sample-'));
    const sample = samples.take('npm', server).replace('"socket.io-client"', JSON.stringify(import.meta.resolve('client-4.8')));
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

  eachClient('answer: a refusal says why', async (t, client) => {
    const server = await serve(t);
    const page = await fixture.open(t, { server, client, scripts: ['const me = "Ada";', samples.take('answer', server)] });
    await until(() => page.said.some((text) => /^not online: .+ \(bad_user\)$/.test(text)), 'the warning', { show: () => page.said });
  });

  eachClient('registered: the list with the user, whenever it comes', async (t, client) => {
    const server = await serve(t);
    await joined(t, server, bob);
    const page = await fixture.open(t, { server, client, scripts: [given, samples.take('registered', server)] });
    await shows(page, drawnIds, [8, 7]);
  });

  eachClient('refusal: without a callback it comes as an event', async (t, client) => {
    const server = await serve(t);
    const page = await fixture.open(t, { server, client, scripts: [connected(server), samples.take('refusal', server), 'socket.emit("register", 5); socket.emit("status", "asleep"); socket.emit("frobnicate");'] });
    for (const [event, code] of [['register', 'bad_user'], ['status', 'bad_status'], ['frobnicate', 'unknown_event']]) {
      await until(() => page.said.some((text) => text.startsWith(`${event} was refused: `) && text.endsWith(`(${code})`)), code, { show: () => page.said });
    }
  });

  eachClient('connect-refused: an unknown subscription', async (t, client) => {
    const server = await serve(t);
    const page = await fixture.open(t, { server, client, scripts: [connected(server, { query: { presence: 'nonsense' } }), samples.take('connect-refused', server)], expected: cut });
    await until(() => page.said.some((text) => /^refused: .+ \(bad_presence\)$/.test(text)), 'the warning', { show: () => page.said });
  });

  eachClient('watch: sees and is not seen', async (t, client) => {
    const server = await serve(t);
    const peer = await joined(t, server, bob);
    const page = await fixture.open(t, { server, client, scripts: [given, samples.take('watch', server)] });
    await shows(page, drawnIds, [8]);
    await peer.sees(8);
  });

  eachClient('changes: the increments give the list', async (t, client) => {
    const server = await serve(t);
    const peer = await joined(t, server, bob);
    const page = await fixture.open(t, { server, client, scripts: [given, samples.take('changes', server), 'let lists = 0; socket.on("online_users", () => lists++);'] });
    await shows(page, drawnIds, [8, 7]);
    const cem = await joined(t, server, { id: 9, name: 'Cem' });
    await shows(page, drawnIds, [8, 7, 9]);
    await peer.does('register', { id: 8, name: 'Robert' });
    await shows(page, 'drawn.map(user => user.name)', ['Robert', 'Ada', 'Cem']);
    cem.close();
    await shows(page, drawnIds, [8, 7]);
    await shows(page, 'lists', 1);

    // A user that left while the page was disconnected is not in the list that follows.
    await page.evaluate(() => socket.io.engine.close());
    peer.close();
    await shows(page, 'lists', 2);
    await shows(page, drawnIds, [7]);
  });

  test('count: a number', async (t) => {
    const server = await serve(t);
    const page = await fixture.open(t, { server, scripts: [samples.take('count', server)] });
    await says(page, '0 online');
    await joined(t, server, bob);
    await says(page, '1 online');
  });

  // Tokens as an application hands them out: the first ends soon.
  const renewed = async (t, client, name) => {
    const server = await startAuth({ after: (end) => atEnd(t, end) });
    let asked = 0;
    const answers = { '/rollcall_token': () => jwt({ user: { ...ada, n: asked }, exp: seconds() + (asked++ ? 600 : 20) }) };
    const page = await fixture.open(t, { server, client, scripts: [given, samples.take('fetch-token', server), samples.take(name, server)], answers, expected: cut });
    await shows(page, 'drawn?.map(({ id, n }) => [id, n])', [[7, 0]]);
    await shows(page, 'drawn.map(({ id, n }) => [id, n])', [[7, 1]]);
    assert.equal(asked, 2);
  };
  test('token: a new one with the reconnect', (t) => renewed(t, '4.8', 'token'));
  test('token-renew: a new one on the same connection', (t) => renewed(t, '4.8', 'token-renew'));
  eachClient('token-query: a new one in time', (t, client) => renewed(t, client, 'token-query'));

  test('token: refused without one, and back as soon as there is one', async (t) => {
    const server = await startAuth({ after: (end) => atEnd(t, end) });
    let asked = 0;
    const login = { contentType: 'text/html', body: '<!doctype html><title>Sign in</title>' };
    const answers = { '/rollcall_token': () => [{ status: 401, body: '' }, login][asked++] ?? jwt({ user: ada }) };
    const page = await fixture.open(t, { server, scripts: [given, samples.take('fetch-token', server), samples.take('token', server)], answers, expected: cut });
    await shows(page, drawnIds, [7]);
    assert.equal(asked, 3);
    const page2 = await fixture.open(t, {
      server, scripts: [samples.take('fetch-token', server), 'let fault; fetchToken().catch((error) => { fault = error.message; });'],
      answers: { '/rollcall_token': () => login }, expected: cut,
    });
    await shows(page2, 'fault', 'no token (status 200)');
  });

  test('token-node: made by Node', async (t) => {
    const server = await startAuth({ after: (end) => atEnd(t, end) });
    const code = samples.take('token-node', server).replaceAll('process.env.ROLLCALL_AUTH_SECRET', JSON.stringify(SECRET));
    const { tokenFor } = await import(`data:text/javascript,${encodeURIComponent(code)}`);
    const peer = new Peer(t, server, { auth: { token: tokenFor(ada) } });
    await peer.sees(7);
  });

  eachClient('choose: away, hidden and back', async (t, client) => {
    const server = await serve(t);
    const peer = await joined(t, server, bob);
    const page = await fixture.open(t, {
      server, client, body: '<select id="status"><option>active<option>away<option>hidden<option>asleep</select>',
      scripts: [given, connected(server), 'socket.on("connect", () => socket.emit("register", me)); socket.on("online_users", draw);', samples.take('choose', server)],
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

  eachClient('hide-first: not so much as the arrival is seen, nor a reconnect', async (t, client) => {
    const server = await serve(t);
    const peer = await joined(t, server, bob);
    const page = await fixture.open(t, { server, client, scripts: ['localStorage.hidden = "yes";', given, samples.take('hide-first', server)] });
    await shows(page, drawnIds, [8]); // sees others
    await page.evaluate(() => { drawn = null; socket.io.engine.close(); });
    await shows(page, drawnIds, [8]);
    await joined(t, server, { id: 9 });
    await peer.sees(8, 9);
    assert.doesNotMatch(JSON.stringify(peer.heard), /Ada/);
    assert.deepEqual(await (await fetch(`${server.url}/api/online_users/count`)).json(), { users: 2, sockets: 2 });
  });

  eachClient('heartbeat: a key press makes the user active', async (t, client) => {
    const server = await serve(t, { IDLE_AFTER: '3s' });
    const peer = new Peer(t, server);
    const page = await fixture.open(t, {
      server, client, scripts: [given, connected(server), 'socket.on("connect", () => socket.emit("register", me));', samples.take('heartbeat', server),
        'let beats = 0; const emit = socket.emit; socket.emit = (event, ...more) => { if (event === "heartbeat") beats++; return emit.call(socket, event, ...more); };'],
    });
    await peer.hears('update_user', (user, more) => user.id === 7 && more?.status === 'away'); // by itself
    await page.keyboard.press('a');
    await peer.hears('update_user', (user, more) => user.id === 7 && more?.status === 'active');
    await page.keyboard.press('b');
    await page.mouse.click(5, 5);
    assert.equal(await page.evaluate('beats'), 1, 'once a minute at most');
  });

  eachClient('statuses: which users are away', async (t, client) => {
    const server = await serve(t);
    const peer = await joined(t, server, bob);
    const page = await fixture.open(t, { server, client, scripts: [given, samples.take('statuses', server)] });
    await shows(page, 'drawn', [{ ...bob, away: false }, { ...ada, away: false }]);
    await peer.does('status', 'away');
    await shows(page, 'drawn', [{ ...bob, away: true }, { ...ada, away: false }]);
    await peer.does('heartbeat');
    await shows(page, 'drawn', [{ ...bob, away: false }, { ...ada, away: false }]);
  });

  eachClient('statuses-changes: which users are away, by increments', async (t, client) => {
    const server = await serve(t);
    const peer = await joined(t, server, bob);
    await peer.does('status', 'away');
    const page = await fixture.open(t, {
      server, client, scripts: [given, 'let shown; const drawAway = (ids) => { shown = ids; };', samples.take('statuses-changes', server)],
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

  eachClient('signed-out: all tabs go where the page sends them', async (t, client) => {
    const server = await serve(t, { API_KEY: 'the-key-of-this-test' });
    const peer = await joined(t, server, bob);
    const tabs = await Promise.all([1, 2].map(() => fixture.open(t, {
      server, client, expected: cut, scripts: [given, connected(server), 'socket.on("connect", () => socket.emit("register", me));', samples.take('signed-out', server)],
    })));
    let count;
    await until(async () => {
      count = await (await fetch(`${server.url}/api/online_users/count`)).json();
      return count.sockets === 3;
    }, 'both tabs and Bob', { show: () => [count, tabs.map((tab) => tab.said)] });
    await peer.hears('add_user', (user) => user.id === 7);
    const answer = await fetch(`${server.url}/api/users/7`, { method: 'DELETE', headers: { Authorization: 'Bearer the-key-of-this-test' } });
    assert.deepEqual(await answer.json(), { id: '7', sockets: 2 });
    for (const tab of tabs) await tab.waitForURL(`${fixture.origin}/login`);
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
});

test('every sample was run', () => assert.deepEqual(samples.unread(), []));
