// The page, as people use it: several browsers, several tabs, a keyboard, a phone.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { io } from 'client-4.8';
import { cleanProfile, names, serve, shot } from './lib/browser.mjs';
import { shows } from './lib/pages.mjs';
import { startServer } from './lib/server.mjs';
import { PATIENCE, until } from './lib/wait.mjs';

let server;
before(async () => { server = await serve(); });

const lists = (page, expected) => until(
  async () => JSON.stringify((await names(page)).sort()) === JSON.stringify([...expected].sort()),
  `the list ${JSON.stringify(expected)}`,
).catch(async (error) => {
  throw new Error(`${error.message}; there is ${JSON.stringify(await names(page))}`);
});

const live = (page) => page.locator('#state[data-state=live]').waitFor();

async function visit(t, options) {
  const profile = await cleanProfile(t, options);
  return { profile, page: await profile.open(server.url) };
}

async function join(page, name) {
  await page.getByLabel('Your name').fill(name);
  await page.getByRole('button', { name: 'Join' }).click();
  await page.getByText('You are here as').waitFor();
}

test('three browsers see each other join, rename and leave', async (t) => {
  const visitors = await Promise.all([visit(t), visit(t), visit(t)]);
  const [ann, ben, cem] = visitors.map(({ page }) => page);
  await shot(ann, 'empty');
  assert.match(await ann.getByLabel('Your name').inputValue(), /^\w+ \w+$/, 'a friendly name is there already');

  await join(ann, 'Ann');
  await join(ben, 'Ben');
  for (const page of [ann, ben, cem]) await lists(page, ['Ann', 'Ben']);
  assert.deepEqual(await ann.locator('rollcall-online li:has(.you:visible) .name').allTextContents(), ['Ann']);
  assert.equal(await cem.locator('rollcall-online .you:visible').count(), 0, 'a visitor without a name is not in the list');
  await shows(cem, '#count', ['2']);
  await shot(ann, 'light');
  await ann.emulateMedia({ colorScheme: 'dark' });
  await shot(ann, 'dark');

  await ben.getByRole('button', { name: 'Rename' }).click();
  await ben.getByLabel('Your name').fill('Benno');
  await ben.getByRole('button', { name: 'Save' }).click();
  for (const page of [ann, ben, cem]) await lists(page, ['Ann', 'Benno']);

  await ann.getByRole('button', { name: 'Leave' }).click();
  for (const page of [ann, ben, cem]) await lists(page, ['Benno']);
  await ben.close();
  for (const page of [ann, cem]) await lists(page, []);
});

test('two tabs are one user, remembered, and one in what they do', async (t) => {
  const { profile, page: first } = await visit(t);
  await join(first, 'Tabea');
  const since = await first.locator('rollcall-online time').getAttribute('datetime');
  const second = await profile.open(server.url);
  await second.getByText('You are here as').waitFor();
  for (const page of [first, second]) await lists(page, ['Tabea']);
  await shows(second, '#count', ['1']);
  assert.equal(await second.locator('rollcall-online time').getAttribute('datetime'), since, 'online since the first tab');

  await first.close();
  await lists(second, ['Tabea']);
  await second.reload();
  await lists(second, ['Tabea']);

  const third = await profile.open(server.url);
  await third.getByRole('button', { name: 'Leave' }).click();
  await lists(third, []);
  await second.getByRole('button', { name: 'Join' }).waitFor();
});

test('hostile and odd users are shown, and inert', async (t) => {
  const { page } = await visit(t);
  await live(page);
  const users = [
    { id: 1, name: '<img src=x onerror=alert(1)>' },
    { id: 2, name: '"><script>alert(2)</script>' },
    { id: 3, nickname: 'javascript:alert(3)' },
    { id: 4, name: '\u202Egnp.exe' },
    { id: 5, name: 'W'.repeat(3000) },
    { id: 6, name: `Z${'\u0338\u0322'.repeat(200)}algo` },
    { id: 7, name: { toString: 'no', first: 'x' } },
    { id: '__proto__', username: '__proto__' },
    { id: 9, name: '\u200b\u3164', email: 'jane@example.org' },
    { name: 'فاطمة الزهراء' },
    { name: 'Twin' }, { name: 'Twin' },
    {},
  ];
  const sockets = users.map(() => io(server.url, { transports: ['websocket'], forceNew: true }));
  t.after(() => sockets.forEach((socket) => socket.disconnect()));
  await Promise.all(sockets.map((socket, i) => socket.timeout(PATIENCE).emitWithAck('register', users[i])));
  await lists(page, [
    '<img src=x onerror=alert(1)>', '"><script>alert(2)</script>', 'javascript:alert(3)', 'gnp.exe',
    `${'W'.repeat(59)}…`, 'Z\u0338\u0322\u0338algo', 'User 7', '__proto__', 'jane', 'فاطمة الزهراء', 'Twin', 'Twin', 'Someone',
  ]);
  assert.equal(await page.locator('rollcall-online :is(img, script)').count(), 0);
  await shot(page, 'hostile');

  sockets[10].disconnect();
  await until(async () => (await names(page)).filter((name) => name === 'Twin').length === 1, 'one twin to leave');

  await page.setViewportSize({ width: 360, height: 740 });
  await page.getByText('Show this list').click();
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360, 'nothing is wider than a phone');
  await shot(page, 'phone', { fullPage: true });
  await join(page, 'M'.repeat(40));
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360);
});

test('a keyboard is enough', async (t) => {
  const { page } = await visit(t);
  const { page: other } = await visit(t);
  await page.locator('#name:focus').waitFor();
  await page.keyboard.type('Kay');
  await page.keyboard.press('Enter');
  await lists(other, ['Kay']);
  await page.locator('#rename:focus').waitFor();
  await page.keyboard.press('Enter');
  await page.locator('#name:focus').waitFor();
  await page.keyboard.type('Kayla');
  await page.keyboard.press('Escape');
  await page.locator('#rename:focus').waitFor();
  await page.keyboard.press('Enter');
  await page.locator('#name:focus').waitFor();
  await page.keyboard.type('Kaya');
  await page.keyboard.press('Enter');
  await lists(other, ['Kaya']);
  await page.locator('#rename:focus').waitFor();
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await lists(other, []);
  await page.locator('#name:focus').waitFor();
  assert.equal(await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle), 'solid', 'focus is seen');
});

test('a restarted server gets its people back', async (t) => {
  let own = await startServer();
  t.after(() => own.stop());
  const profile = await cleanProfile(t, { expected: [/WebSocket|ERR_CONNECTION|Failed to load resource/] });
  const page = await profile.open(own.url);
  await join(page, 'Rea');
  await lists(page, ['Rea']);
  await own.stop();
  await page.locator('#state[data-state=reconnecting]').waitFor();
  await shot(page, 'reconnecting');
  own = await startServer({ PORT: String(own.port) });
  await live(page);
  await lists(page, ['Rea']);
  const answer = await new Promise((resolve, reject) => {
    const socket = io(own.url, { transports: ['websocket'], forceNew: true, query: { presence: 'list' } });
    t.after(() => socket.disconnect());
    socket.on('connect_error', reject);
    socket.on('online_users', (users) => users.length && resolve(users));
    socket.emit('sync');
  });
  assert.deepEqual(answer.map((user) => user.name), ['Rea'], 'registered again, not only drawn');
});

test('without the official client the page works the same', async (t) => {
  const profile = await cleanProfile(t, { expected: [/Failed to load resource.*404/] });
  let asked = 0;
  await profile.context.route('**/socket.io/socket.io.min.js', (route) => {
    asked++;
    return route.fulfill({ status: 404, body: 'not built' });
  });
  const page = await profile.open(server.url);
  await join(page, 'Lia');
  const { page: other } = await visit(t);
  await join(other, 'Olaf');
  for (const each of [page, other]) await lists(each, ['Lia', 'Olaf']);
  assert.equal(asked, 1);
  assert.equal(await page.evaluate(() => typeof window.io), 'undefined');
  await page.getByRole('button', { name: 'Leave' }).click();
  await lists(other, ['Olaf']);
  assert.equal(await page.getByRole('alert').count(), 0, 'nothing to complain about');
});

test('where WebSockets do not get through, polling does', async (t) => {
  const { page } = await visit(t);
  await page.addInitScript(() => {
    window.WebSocket = class {
      constructor() { setTimeout(() => this.onerror?.(new Event('error')), 10); }
      close() {}
    };
  });
  await page.reload();
  await page.getByText('Live · polling').waitFor();
  await join(page, 'Pola');
  const { page: other } = await visit(t);
  await lists(other, ['Pola']);
  await page.getByRole('button', { name: 'Leave' }).click();
  await lists(other, []);
});

test('the small client answers pings and comes back after a restart', async (t) => {
  const env = { PING_INTERVAL: '200ms', PING_TIMEOUT: '4s' };
  let own = await startServer(env);
  t.after(async () => {
    if (!own.exited()) process.kill(own.pid, 'SIGCONT'); // it may be frozen still
    await own.stop();
  });
  const profile = await cleanProfile(t, { expected: [/WebSocket|ERR_CONNECTION|Failed to load resource/] });
  await profile.context.route('**/socket.io/socket.io.min.js', (route) => route.fulfill({ status: 404, body: 'not built' }));
  const page = await profile.context.newPage();
  const sockets = [];
  let pongs = 0;
  page.on('websocket', (socket) => {
    sockets.push(socket);
    socket.on('framesent', ({ payload }) => { pongs += payload === '3'; });
  });
  await page.goto(own.url);
  await join(page, 'Pia');
  const began = Date.now();
  await until(() => pongs >= 10 && Date.now() - began > 4500, 'ten pongs, and longer than the server waits for one');
  assert.equal(sockets.length, 1, 'never cut off');
  await own.stop('SIGKILL');
  await page.locator('#state[data-state=reconnecting]').waitFor();
  own = await startServer({ ...env, PORT: String(own.port) });
  await live(page);
  await lists(page, ['Pia']);
  // A server that is frozen closes nothing; only the missing pings tell.
  process.kill(own.pid, 'SIGSTOP');
  await page.locator('#state[data-state=reconnecting]').waitFor();
  process.kill(own.pid, 'SIGCONT');
  await live(page);
  await lists(page, ['Pia']);
});

test('a refusal is said', async (t) => {
  const strict = await serve({ MAX_USER: '64' });
  const profile = await cleanProfile(t);
  const page = await profile.open(strict.url);
  await page.getByLabel('Your name').fill('A name that is too long for this one');
  await page.getByRole('button', { name: 'Join' }).click();
  await page.getByRole('alert').getByText(/The user object has \d+ bytes; the limit is 64\./).waitFor();
  await page.getByRole('button', { name: 'Join' }).waitFor();
  await lists(page, []);
});

test('ten thousand users do not freeze the page', async (t) => {
  const profile = await cleanProfile(t);
  let push;
  await profile.context.routeWebSocket(/socket\.io/, (socket) => {
    const users = Array.from({ length: 10_000 }, (_, i) => ({ id: i, name: `Visitor ${i}` }));
    const emit = (...event) => socket.send(`42${JSON.stringify(event)}`);
    push = emit;
    socket.send('0{"sid":"a","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}');
    socket.onMessage((message) => {
      if (message.startsWith('40')) socket.send('40{"sid":"b"}');
      if (message.startsWith('42["sync"')) emit('online_users', users);
    });
  });
  const page = await profile.context.newPage();
  await page.addInitScript(() => {
    window.longest = 0;
    new PerformanceObserver((list) => list.getEntries().forEach((entry) => { window.longest = Math.max(window.longest, entry.duration); }))
      .observe({ type: 'longtask', buffered: true });
  });
  await page.goto(server.url);
  await page.getByText('and 9,800 more').waitFor();
  assert.equal(await page.locator('rollcall-online li').count(), 200);
  await shot(page, 'many');
  for (let i = 0; i < 500; i++) {
    push('add_user', { id: 10_000 + i, name: `Visitor ${10_000 + i}` });
    push('remove_user', { id: i, name: `Visitor ${i}` }, { reason: 'closed' });
  }
  await page.locator('rollcall-online li').first().getByText('Visitor 500', { exact: true }).waitFor();
  await page.getByLabel('Find somebody').fill('visitor 1049');
  await until(async () => (await names(page)).length === 11, 'the eleven that match');
  await shot(page, 'filter');
  await page.keyboard.press('Escape');
  await page.getByText('and 9,800 more').waitFor();
  const longest = await page.evaluate(() => window.longest);
  t.diagnostic(`longest task: ${longest} ms`);
  assert.ok(longest < 1000, `the page stood still for ${longest} ms`);
});
