// Active, away and hidden, in the page and in the drop-in element.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { io } from 'client-4.8';
import { cleanProfile, serve, shot } from './lib/browser.mjs';
import { isLive, narrow, shows, signIn, visitor } from './lib/pages.mjs';
import { PATIENCE, until } from './lib/wait.mjs';

const listed = (page, names) => shows(page, 'rollcall-online .name', names);
const away = (page, names) => shows(page, 'rollcall-online li:has(.away:visible) .name', names);
const choose = (page, status) => page.getByLabel(status, { exact: true }).check();
const chosen = (page, status) => until(() => page.locator(`#status [value=${status}]`).isChecked(), `${status} to be chosen`);

// spy is a client that keeps every event, in the lobby and out of it.
async function spy(t, url) {
  const socket = io(url, { transports: ['websocket'], forceNew: true });
  t.after(() => socket.disconnect());
  const heard = [];
  socket.onAny((...event) => heard.push(JSON.stringify(event)));
  await socket.timeout(PATIENCE).emitWithAck('join', { room: 'lobby', username: 'Spy' });
  await socket.timeout(PATIENCE).emitWithAck('sync');
  return { socket, heard, tellsOf: (name) => heard.filter((event) => event.includes(name)) };
}

test('away by itself, and back with a sign of life', async (t) => {
  const { url } = await serve({ IDLE_AFTER: '1500ms' });
  const ann = await visitor(t, url, 'Ann');
  const ben = await visitor(t, url); // looks on
  await away(ben, ['Ann']);
  await chosen(ann, 'away');
  await ann.getByText('The others see that you are away.').waitFor();
  await shot(ben, 'status-away');
  // She is away again soon, unless she does something again.
  let x = 0;
  const moving = (probe, what) => until(async () => (await ann.mouse.move(200 + (++x % 50), 200), probe()), what);
  await moving(async () => (await ben.locator('rollcall-online li:has(.away:visible)').count()) === 0, 'Ann not to be away');
  await moving(() => ann.locator('#status [value=active]').isChecked(), 'active to be chosen');
  await listed(ben, ['Ann']);
});

test('away by choice lasts until one does something that others notice', async (t) => {
  const { url } = await serve();
  const [ann, ben] = [await visitor(t, url, 'Ann'), await visitor(t, url, 'Ben')];
  await choose(ann, 'Away');
  for (const page of [ann, ben]) await away(page, ['Ann']);
  const heard = [];
  const { socket } = await spy(t, url);
  socket.on('update_user', (user, more) => heard.push([user.name, more?.status]));
  // Being at the page, others' messages and others' races change nothing.
  await ann.mouse.move(100, 100);
  await ann.mouse.wheel(0, 50);
  await ann.keyboard.press('Tab');
  await ben.getByLabel('Message', { exact: true }).fill('Ann?');
  await ben.keyboard.press('Enter');
  await ann.locator('.log').getByText('Ann?').waitFor();
  await ben.getByRole('button', { name: 'Take a car' }).click();
  await ben.getByRole('button', { name: 'Start' }).click();
  await ben.locator('#race-line').getByText('Go!').waitFor();
  await away(ben, ['Ann']);
  assert.deepEqual(heard, [], 'nobody was told anything');
  await chosen(ann, 'away');

  await ann.getByLabel('Message', { exact: true }).fill('Here');
  await ann.keyboard.press('Enter');
  for (const page of [ann, ben]) await away(page, []);
  await chosen(ann, 'active');
  // Back at the page, the race that began meanwhile is there to be seen.
  await ann.locator('#race-line').getByText('Go!').waitFor();
  await shows(ann, '#lanes .driver', ['Ben']);

  await choose(ann, 'Away');
  await away(ben, ['Ann']);
  await choose(ann, 'Active');
  await away(ben, []);
});

test('hidden is gone everywhere, through reloads and renames, and back by choice', async (t) => {
  const { url } = await serve();
  const ann = await visitor(t, url, 'Ann Onymous');
  const ben = await visitor(t, url, 'Ben');
  await ann.getByRole('button', { name: 'Take a car' }).click();
  await shows(ben, '#lanes .driver', ['Ann Onymous']);
  await choose(ann, 'Hidden');
  for (const page of [ann, ben]) await listed(page, ['Ben']);
  await shows(ben, '#members li', ['Ben']);
  await shows(ben, '#lanes .driver', []);
  await shows(ben, '#count', ['1']);
  await ann.getByText('Nobody sees you.').waitFor();
  await ann.getByText('Who is hidden cannot race.').waitFor();
  await narrow(ann);
  await shot(ann, 'status-hidden', { fullPage: true });

  const { tellsOf } = await spy(t, url);
  const sent = [];
  ann.on('websocket', (socket) => socket.on('framesent', ({ payload }) => /^42/.test(payload) && sent.push(payload)));
  await ann.reload();
  await isLive(ann);
  await chosen(ann, 'hidden');
  await until(() => sent.some((packet) => packet.includes('"register"')), 'Ann to be registered again');
  assert.equal(sent[0].replace(/^\d+/, ''), '["status","hidden"]', 'before anything that could be seen');
  await ann.getByLabel('Message', { exact: true }).pressSequentially('typing');
  await ann.getByRole('button', { name: 'Rename' }).click();
  await ann.getByLabel('Your name').fill('Ann Othername');
  await ann.getByRole('button', { name: 'Save' }).click();
  await ann.getByText('You are here as Ann Othername').waitFor();
  const second = await ann.profile.open(url);
  await isLive(second);
  await chosen(second, 'hidden');
  await second.close();
  // Leaving the list while hidden brings nothing to light either.
  await ann.getByRole('button', { name: 'Leave' }).click();
  await shows(ben, '#members li', ['Ben', 'Spy', 'Guest']);
  assert.deepEqual(tellsOf('Ann'), []);

  await ann.getByRole('button', { name: 'Join' }).click();
  await listed(ben, ['Ben', 'Ann Othername']);
  await choose(ann, 'Hidden');
  await listed(ben, ['Ben']);
  await choose(ann, 'Active');
  for (const page of [ann, ben]) await listed(page, page === ben ? ['Ben', 'Ann Othername'] : ['Ann Othername', 'Ben']);
  await until(() => tellsOf('Ann').length > 0, 'the spy to hear of Ann now');
});

test('one choice for all tabs, and a new one for a connection that begins anew', async (t) => {
  let server = await serve();
  const ann = await visitor(t, server.url, 'Ann', { expected: [/WebSocket|ERR_CONNECTION|Failed to load resource/] });
  const second = await ann.profile.open(server.url);
  await isLive(second);
  const ben = await visitor(t, server.url, '', { expected: [/WebSocket|ERR_CONNECTION|Failed to load resource/] });
  await listed(ben, ['Ann']);
  await choose(second, 'Away');
  await away(ben, ['Ann']);
  await chosen(ann, 'away');
  await choose(ann, 'Hidden');
  await listed(ben, []);
  await chosen(second, 'hidden');
  await server.stop();
  server = await serve({ PORT: String(server.port) });
  const { tellsOf } = await spy(t, server.url);
  for (const page of [ann, second, ben]) await isLive(page);
  // Both of Ann's tabs are in the room again, or this one would not see who is.
  for (const page of [ann, second]) {
    await until(async () => (await page.locator('#members li').allTextContents()).sort().join() === 'Guest,Spy', 'the spy and Ben in the room');
    await chosen(page, 'hidden');
  }
  assert.deepEqual(tellsOf('Ann'), []);
  await choose(second, 'Active');
  await listed(ben, ['Ann']);
  await chosen(ann, 'active');
});

test('chosen without a connection, hidden counts from the next one on', async (t) => {
  let server = await serve();
  const ann = await visitor(t, server.url, 'Ann', { expected: [/WebSocket|ERR_CONNECTION|Failed to load resource/] });
  await listed(ann, ['Ann']);
  await server.stop();
  await ann.locator('#state[data-state=reconnecting]').waitFor();
  await choose(ann, 'Hidden');
  server = await serve({ PORT: String(server.port) });
  const { tellsOf } = await spy(t, server.url);
  await isLive(ann);
  await listed(ann, []);
  await shows(ann, '#members li', ['Spy']);
  assert.deepEqual(tellsOf('Ann'), []);
});

test('the small client chooses too', async (t) => {
  const { url } = await serve();
  const [lia, ben] = [await visitor(t, url, 'Lia', { lite: true }), await visitor(t, url, 'Ben')];
  assert.equal(await lia.evaluate(() => typeof window.io), 'undefined');
  await choose(lia, 'Away');
  await away(ben, ['Lia']);
  await lia.locator('#status [value=away]').press('ArrowRight'); // the keyboard's way
  await listed(ben, ['Ben']);
  await chosen(lia, 'hidden');
  await lia.reload();
  await isLive(lia);
  await shows(lia, 'rollcall-online .name', ['Ben']);
  await choose(lia, 'Active');
  await listed(ben, ['Ben', 'Lia']);
});

test('a refused choice is taken back, and said', async (t) => {
  const { url } = await serve();
  const ann = await visitor(t, url);
  // The server behind it takes every status; this one does not.
  await ann.profile.context.routeWebSocket(/socket\.io/, (socket) => {
    const far = socket.connectToServer();
    socket.onMessage((message) => {
      const [, id, status] = /^42(\d+)\["status","(\w+)"/.exec(message) ?? [];
      if (id) socket.send(`43${id}[{"ok":false,"error":"rate_limited","message":"Too much at once: ${status}."}]`);
      else far.send(message);
    });
  });
  await ann.reload();
  await isLive(ann);
  await signIn(ann, 'Ann');
  for (const status of ['Away', 'Hidden']) {
    await ann.getByLabel(status, { exact: true }).click();
    await ann.getByRole('alert').getByText(`Too much at once: ${status.toLowerCase()}.`).waitFor();
    await chosen(ann, 'active');
  }
  await listed(ann, ['Ann']);
  assert.equal(await ann.evaluate(() => JSON.parse(localStorage.getItem('rollcall.me')).hidden), false);
});

test('the drop-in element marks users that are away, in its event too', async (t) => {
  const { url } = await serve();
  const host = createServer((request, response) => {
    response.setHeader('Content-Type', 'text/html; charset=utf-8');
    response.end(`<!doctype html><html lang="en"><title>A host</title><link rel="icon" href="data:,">
      <script src="${url}/rollcall.js" defer></script><rollcall-online user='{"id":1,"name":"Ann"}'></rollcall-online>`);
  });
  await new Promise((resolve) => host.listen(0, '127.0.0.1', resolve));
  t.after(() => { host.closeAllConnections(); host.close(); });
  const page = await (await cleanProfile(t)).context.newPage();
  await page.goto(`http://127.0.0.1:${host.address().port}`);
  await page.evaluate(() => document.addEventListener('rollcall:change', (event) => { window.detail = event.detail; }));

  const people = await Promise.all([['5', 'Fünf'], [5.5, 'Half'], ['__proto__', 'Proto'], ['constructor', 'Ctor']].map(async ([id, name]) => {
    const socket = io(url, { transports: ['websocket'], forceNew: true });
    t.after(() => socket.disconnect());
    await socket.timeout(PATIENCE).emitWithAck('register', { id, name });
    return { socket, name, set: (status) => socket.timeout(PATIENCE).emitWithAck('status', status) };
  }));
  const all = ['Ann', ...people.map(({ name }) => name)].sort();
  const names = async () => (await page.locator('rollcall-online .name').allTextContents()).sort();
  await until(async () => JSON.stringify(await names()) === JSON.stringify(all), 'all of them');
  await away(page, []);
  for (const { set } of people.slice(0, 3)) await set('away');
  const marked = async (expected) => until(async () => JSON.stringify((await page.locator('rollcall-online li:has(.away:visible) .name').allTextContents()).sort()) === JSON.stringify(expected), `away: ${expected}`);
  await marked(['Fünf', 'Half', 'Proto']);
  await until(async () => (await page.evaluate(() => window.detail.away.map((user) => user.name).sort().join())) === 'Fünf,Half,Proto', 'the event to tell');
  // A whole list says the same as the increments did.
  await page.reload();
  await marked(['Fünf', 'Half', 'Proto']);
  await people[0].set('active');
  await people[1].set('hidden');
  await marked(['Proto']);
  assert.ok(!(await names()).includes('Half'));
  await shot(page, 'widget-away');
});
