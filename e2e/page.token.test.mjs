// Tokens in pages: <rollcall-online> in a site with its own sign-in, and the
// page at /, on a server with AUTH_SECRET.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { describe, test } from 'node:test';
import { io } from 'client-4.8';
import { cleanProfile, names, serve, shot } from './lib/browser.mjs';
import { shows } from './lib/pages.mjs';
import { FOREIGN_SECRET, jwt, ruby, SECRET, seconds } from './lib/tokens.mjs';
import { PATIENCE, until } from './lib/wait.mjs';

const OLD_CLIENT = readFileSync(createRequire(import.meta.url).resolve('client-1.3/socket.io.js'));
const KEY = 'the-key-of-this-test';
const ann = { id: 1, name: 'Ann' };
const NETWORK = /Failed to load resource|WebSocket connection to .* failed/;
const SIGN_IN = 'Sign in to see who is online.';
const TRYING = 'Who is online cannot be shown just now. Trying again…';
const NOT_ACCEPTED = 'Your sign-in was not accepted here. Reload the page, or sign in again.';

const fresh = (env) => serve({ AUTH_SECRET: SECRET, API_KEY: KEY, PING_INTERVAL: '1s', PING_TIMEOUT: '20s', ...env });

// startApp is an app with a sign-in of its own: answer(response, n) is what
// /rollcall_token says to the n-th request; `asked` has the requests.
async function startApp(t, rollcall, answer, { attributes = 'token-url="/rollcall_token"', client = '', markup = '' } = {}) {
  const app = { asked: [], answer };
  const site = createServer((request, response) => {
    if (request.url === '/old-client.js') return response.end(OLD_CLIENT);
    if (request.url === '/rollcall_token') {
      app.asked.push(request.headers);
      return app.answer(response, app.asked.length);
    }
    response.setHeader('Content-Type', 'text/html; charset=utf-8');
    if (request.url === '/login') return response.end('<!doctype html><title>Sign in</title><form>…</form>');
    response.setHeader('Set-Cookie', 'session=of-ann; HttpOnly');
    response.end(`<!doctype html><html lang="en"><title>An app</title><link rel="icon" href="data:,">${client}
      <script src="${rollcall.url}/rollcall.js" defer></script><rollcall-online ${attributes}></rollcall-online>${markup}`);
  });
  await new Promise((resolve) => site.listen(0, '127.0.0.1', resolve));
  app.url = `http://127.0.0.1:${site.address().port}`;
  const profile = await cleanProfile(t, { expected: [NETWORK] });
  app.profile = profile;
  t.after(() => {
    site.closeAllConnections();
    site.close();
  });
  if (client === 'none') await profile.context.route('**/socket.io/socket.io.min.js', (route) => route.fulfill({ status: 404 }));
  app.said = [];
  app.open = async ({ clock } = {}) => {
    const page = await profile.context.newPage();
    if (clock) await page.clock.install();
    page.on('console', (message) => app.said.push(message.text()));
    await page.goto(app.url);
    return page;
  };
  return app;
}

const text = (token) => (response) => response.setHeader('Content-Type', 'text/plain').end(`${token()}\n`);
const json = (value) => (response) => response.setHeader('Content-Type', 'application/json; charset=utf-8').end(JSON.stringify(value()));
const status = (code) => (response) => response.writeHead(code).end();
const now = (page) => page.evaluate(() => dispatchEvent(new Event('online'))); // what would be tried later

// watcher is somebody else, with a token of their own, of whom every event is kept.
async function watcher(t, server, presence = 'both') {
  const socket = io(server.url, { transports: ['websocket'], forceNew: true, query: { presence }, auth: { token: jwt({ user: { id: 'watcher', name: 'Watcher' } }) } });
  t.after(() => socket.disconnect());
  const heard = [];
  socket.onAny((...event) => heard.push(event));
  await until(() => socket.connected, 'the watcher');
  await socket.timeout(PATIENCE).emitWithAck('sync');
  const of = (event) => heard.filter(([name]) => name === event).map(([, ...args]) => args);
  return { socket, heard, of, hears: (event, fits) => until(() => of(event).find((args) => fits(...args)), event, { show: () => heard.slice(-5) }) };
}

const listed = (page, expected) => shows(page, 'rollcall-online .name', expected); // you come first
const beats = async (server) => Number(/rollcall_events_in_total\{event="heartbeat"\} (\d+)/.exec(await (await fetch(`${server.url}/metrics`)).text())?.[1] ?? 0);
const says = (page, sentence) => page.getByRole('alert').getByText(sentence, { exact: true }).waitFor();
const you = (page) => page.locator('rollcall-online li:has(.you:visible) .name');

describe('the element, with a token', { concurrency: 3 }, () => {
  const verifier = async (user) => (await ruby([`ActiveSupport::MessageVerifier.new(ENV.fetch('SECRET'), digest: 'SHA256', serializer: JSON).generate(${user}, expires_in: 600, purpose: :rollcall)`]))[0];
  for (const [form, token, answerOf] of [
    ['a text', () => jwt({ user: ann }), (token) => text(() => token)],
    ['JSON', () => jwt({ user: ann }), (token) => json(() => ({ token }))],
    ['Rails\' own', () => verifier('{id: 1, name: "Ann"}'), (token) => text(() => token)],
    ['JSON that names itself text', () => jwt({ user: ann }), (token) => text(() => JSON.stringify({ token }))],
  ]) {
    test(`the endpoint answers with ${form}`, async (t) => {
      const server = await fresh();
      const given = await token();
      const app = await startApp(t, server, answerOf(given));
      const other = await watcher(t, server);
      const page = await app.open();
      await other.hears('add_user', (user) => user.id === 1);
      await listed(page, ['Ann', 'Watcher']);
      await shows(page, 'rollcall-online .count', ['2 online']);
      assert.equal(await you(page).textContent(), 'Ann');
      assert.equal(app.asked.length, 1);
      assert.match(app.asked[0].cookie, /session=of-ann/);
      assert.equal(await page.getByRole('alert').count(), 0);
    });
  }

  for (const [client, tag] of [['1.3.2', '<script src="/old-client.js"></script>'], ['the small one', 'none']]) {
    test(`with ${client} as client`, async (t) => {
      const server = await fresh();
      let code = 401;
      const app = await startApp(t, server, (response) => (code === 200 ? text(() => jwt({ user: ann }))(response) : status(code)(response)), { client: tag });
      const page = await app.open();
      await says(page, SIGN_IN);
      code = 200;
      await now(page);
      await listed(page, ['Ann']);
      assert.equal(await page.getByRole('alert').count(), 0);
      // A cut connection comes back with a token of its own.
      const [asked, other] = [app.asked.length, await watcher(t, server)];
      await fetch(`${server.url}/api/users/1`, { method: 'DELETE', headers: { Authorization: `Bearer ${KEY}` } });
      await other.hears('remove_user', (user) => user.id === 1);
      await until(async () => (await now(page), app.asked.length > asked), 'another token to be asked for');
      await listed(page, ['Ann', 'Watcher']);
    });
  }

  const refused = [
    ['401', status(401), SIGN_IN],
    ['403', status(403), SIGN_IN],
    ['204', status(204), SIGN_IN],
    ['JSON without a token', json(() => ({ token: null })), SIGN_IN],
    ['a login page with 200', (response) => response.setHeader('Content-Type', 'text/html').end('<!doctype html><title>Sign in</title>'), SIGN_IN],
    ['a redirect to the login page', (response) => response.writeHead(302, { Location: '/login' }).end(), SIGN_IN],
    ['500', status(500), TRYING],
    ['404', status(404), TRYING],
    ['a redirect without an end', (response) => response.writeHead(302, { Location: '/rollcall_token' }).end(), TRYING],
    ['a cut connection', (response) => response.destroy(), TRYING],
    ['broken JSON', (response) => response.setHeader('Content-Type', 'application/json').end('{"token":'), TRYING],
    ['JSON of another shape', json(() => ({ jwt: 'x' })), TRYING],
    ['a page that calls itself text', text(() => '<!doctype html><title>Sign in</title>'), TRYING],
    ['something endless', text(() => 'x'.repeat(9000)), TRYING],
    ['a token of another secret', text(() => jwt({ user: ann }, { secret: FOREIGN_SECRET })), NOT_ACCEPTED],
    ['a token that is over', text(() => jwt({ user: ann, exp: seconds() - 60 })), NOT_ACCEPTED],
  ];
  // Several pages at a time: each waits most of its time to try again.
  for (const part of [0, 1, 2, 3]) test(`what is no token is told in a sentence, and when there is one the list comes (${part})`, async (t) => {
    const server = await fresh();
    const app = await startApp(t, server, status(500));
    const page = await app.open();
    for (const [what, answer, sentence] of refused.filter((_, i) => i % 4 === part)) {
      await t.test(what, async () => {
        app.answer = answer;
        await page.reload();
        await says(page, sentence);
        assert.doesNotMatch(await page.locator('rollcall-online section').innerText(), /unauthorized|no_token|undefined|Error/);
        if (what === '500') await shot(page, 'token-down');
        app.answer = text(() => jwt({ user: ann }));
        await until(async () => (await now(page), (await names(page)).join() === 'Ann'), 'the list');
        assert.equal(await page.getByRole('alert').count(), 0, 'nothing stale');
      });
    }
  });

  test('the endpoint is asked more and more rarely while it has no token', async (t) => {
    const server = await fresh();
    const app = await startApp(t, server, status(401));
    const page = await app.open({ clock: true });
    await says(page, SIGN_IN);
    for (let minute = 0; minute < 10; minute++) {
      await page.clock.runFor(60_000);
      await page.evaluate(() => fetch('/login')); // so that what was begun is done
    }
    assert.ok(app.asked.length >= 3 && app.asked.length <= 25, `asked ${app.asked.length} times in ten minutes`);
  });

  test('no token at all: a sentence, and a hint for the developer of the page', async (t) => {
    const server = await fresh();
    const app = await startApp(t, server, status(500), { attributes: '' });
    const page = await app.open();
    await says(page, SIGN_IN);
    assert.ok(app.said.some((line) => /AUTH_SECRET.*token-url/.test(line)), app.said.join('\n'));
    assert.equal(app.asked.length, 0);
    await page.locator('rollcall-online').evaluate((element, token) => element.setAttribute('token', token), jwt({ user: ann }));
    await listed(page, ['Ann']);
    assert.equal(await page.getByRole('alert').count(), 0);
  });

  test('guests see, where guests are let in', async (t) => {
    const server = await fresh({ ALLOW_GUESTS: 'true' });
    const app = await startApp(t, server, status(401));
    await watcher(t, server);
    const page = await app.open();
    await listed(page, ['Watcher']);
    assert.equal(await you(page).count(), 0);
    assert.equal(await page.getByRole('alert').count(), 0);
  });

  test('the attribute token, with the address of the next one', async (t) => {
    const server = await fresh();
    const token = jwt({ user: ann });
    const app = await startApp(t, server, text(() => jwt({ user: { ...ann, name: 'Anna' } })), { attributes: `token="${token}" token-url="/rollcall_token"` });
    const page = await app.open();
    await listed(page, ['Ann']);
    assert.equal(app.asked.length, 0);
    const other = await watcher(t, server);
    // Another user: somebody else signed in, and the page is not loaded anew.
    await page.locator('rollcall-online').evaluate((element, token) => element.setAttribute('token', token), jwt({ user: { id: 2, name: 'Ben' } }));
    await other.hears('remove_user', (user) => user.id === 1);
    await listed(page, ['Ben', 'Watcher']);
    assert.equal(await you(page).textContent(), 'Ben');
  });

  for (const [client, tag] of [['1.3.2', '<script src="/old-client.js"></script>'], ['4.8', '']]) {
    test(`a token is renewed before it ends, and others notice nothing (client ${client})`, async (t) => {
      const server = await fresh();
      let first = 0;
      // The second answer is an error: it is asked for again in time.
      const token = (n) => jwt({ user: { ...ann, n }, exp: n === 1 ? (first = seconds() + 15) : seconds() + 600 });
      const app = await startApp(t, server, (response, n) => (n === 2 ? status(503) : text(() => token(n)))(response), { client: tag });
      const other = await watcher(t, server);
      const page = await app.open();
      await listed(page, ['Ann', 'Watcher']);
      await until(() => other.heard.some(([, user]) => user?.n === 3), 'the fields of the new token', { show: () => other.heard });
      await until(() => Date.now() > 1000 * (first + 1), 'the end of the first token');
      await other.socket.timeout(PATIENCE).emitWithAck('sync');
      assert.equal(other.of('add_user').filter(([user]) => user.id === 1).length, 1);
      assert.deepEqual(other.of('remove_user'), []);
      assert.equal(app.asked.length, 3);
      await shows(page, 'rollcall-online .live .count', ['2 online']);
      assert.equal(await page.getByRole('alert').count(), 0);
    });
  }

  test('a token that cannot be renewed: a sentence when it has ended, and back as soon as there is one', async (t) => {
    const server = await fresh();
    const app = await startApp(t, server, text(() => jwt({ user: ann, exp: seconds() + 6 })));
    const page = await app.open();
    await listed(page, ['Ann']);
    app.answer = status(503);
    await until(async () => (await now(page), page.getByRole('alert').getByText(TRYING).isVisible()), 'the sentence');
    app.answer = text(() => jwt({ user: ann }));
    await until(async () => (await now(page), (await page.getByRole('alert').count()) === 0), 'the connection');
    await listed(page, ['Ann']);
  });

  test('a user attribute may add to the token\'s user', async (t) => {
    const server = await fresh();
    const app = await startApp(t, server, text(() => jwt({ user: ann })), { attributes: `token-url="/rollcall_token" user='{"id":1,"name":"Ann","team":"red"}'` });
    const other = await watcher(t, server);
    const page = await app.open();
    await listed(page, ['Ann', 'Watcher']);
    await until(() => other.heard.some(([, user]) => user?.team === 'red'), 'the added field', { show: () => other.heard });
    assert.equal(await page.getByRole('alert').count(), 0);
  });

  test('signed out everywhere: no way back with the same token, a sentence, and back after signing in', async (t) => {
    const server = await fresh();
    const app = await startApp(t, server, status(401), { attributes: `token="${jwt({ user: ann })}"` });
    const other = await watcher(t, server);
    const page = await app.open();
    await listed(page, ['Ann', 'Watcher']);
    await fetch(`${server.url}/api/users/1`, { method: 'DELETE', headers: { Authorization: `Bearer ${KEY}` } });
    await other.hears('remove_user', (user) => user.id === 1);
    await until(async () => (await now(page), page.getByRole('alert').getByText(SIGN_IN).isVisible()), 'the sentence');
    await listed(page, []);
    assert.equal(other.of('add_user').filter(([user]) => user.id === 1).length, 1);
    await page.locator('rollcall-online').evaluate((element, token) => element.setAttribute('token', token), jwt({ user: ann, exp: seconds() + 500 }));
    await listed(page, ['Ann', 'Watcher']);
  });
});

describe('signs of life', { concurrency: 2 }, () => {
  for (const [how, env, attributes] of [
    ['with a token', {}, 'token-url="/rollcall_token"'],
    ['without', { AUTH_SECRET: '' }, 'user=\'{"id":1,"name":"Ann"}\''],
  ]) {
    test(`a user of the element who does something is not away, ${how}`, async (t) => {
      const server = await fresh({ IDLE_AFTER: '1500ms', ...env });
      const app = await startApp(t, server, text(() => jwt({ user: ann })), { attributes, markup: '<input id="field">' });
      const other = await watcher(t, server);
      const page = await app.open();
      const statuses = () => other.of('update_user').filter(([user]) => user.id === 1).map(([, more]) => more?.status);
      let x = 0;
      const acts = [() => page.mouse.move(++x, 50), () => page.mouse.move(++x, 60), () => page.locator('#field').press('a'), () => page.mouse.wheel(0, 10),
        () => page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')))];
      for (const act of acts) {
        await until(() => statuses().at(-1) === 'away', 'Ann to be away');
        const before = statuses().length;
        await until(async () => (await act(), statuses().slice(before).includes('active')), 'Ann to be active', { show: () => other.heard.slice(-4) });
      }
    });
  }

  test('heartbeats are rare', async (t) => {
    const server = await fresh();
    const app = await startApp(t, server, text(() => jwt({ user: ann })));
    const page = await app.open();
    await listed(page, ['Ann']);
    for (let i = 0; i < 50; i++) await page.mouse.move(i, i);
    await until(() => beats(server), 'the first one');
    await page.mouse.move(1, 1);
    await page.evaluate(() => new Promise(requestAnimationFrame));
    assert.equal(await beats(server), 1);
  });

  test('a visitor that only watches sends nothing', async (t) => {
    const server = await fresh({ AUTH_SECRET: '' });
    const app = await startApp(t, server, status(500), { attributes: '' });
    const page = await app.open();
    await page.getByText('Nobody is online yet.').waitFor();
    for (let i = 0; i < 5; i++) await page.mouse.move(i, i);
    await page.evaluate(() => new Promise(requestAnimationFrame));
    assert.equal(await beats(server), 0);
  });
});
