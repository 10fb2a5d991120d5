// rollcall.js on a page of another origin, which allows it no more than it says.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { io } from 'client-4.8';
import { cleanProfile, names, serve, shot } from './lib/browser.mjs';
import { until } from './lib/wait.mjs';

const OLD_CLIENT = createRequire(import.meta.url).resolve('client-1.3/socket.io.js');

let server, host, hostURL;
const hostPages = new Map(); // path → body

before(async () => {
  server = await serve({ PING_INTERVAL: '1s', PING_TIMEOUT: '20s' });
  host = createServer((request, response) => {
    if (request.url === '/old-client.js') return response.end(readFileSync(OLD_CLIENT));
    const rollcall = `${server.url} ${server.url.replace('http', 'ws')}`;
    response.setHeader('Content-Type', 'text/html; charset=utf-8');
    response.setHeader('Content-Security-Policy', `default-src 'none'; img-src data:; script-src 'self' ${server.url}; connect-src ${rollcall}`);
    response.end(`<!doctype html><html lang="en"><title>A host</title><link rel="icon" href="data:,">${hostPages.get(request.url) ?? ''}`);
  });
  await new Promise((resolve) => host.listen(0, '127.0.0.1', resolve));
  hostURL = `http://127.0.0.1:${host.address().port}`;
});
after(() => {
  host?.closeAllConnections();
  host?.close();
});

// openHost opens a host page with that body and counts its WebSockets to us.
async function openHost(t, body, options) {
  const path = `/${hostPages.size}`;
  hostPages.set(path, body);
  const profile = await cleanProfile(t, options);
  const page = await profile.context.newPage();
  const sockets = [];
  page.on('websocket', (socket) => sockets.push(socket));
  await page.goto(hostURL + path);
  return { profile, page, sockets };
}

// watcher is what the server says to somebody else.
function watcher(t) {
  const socket = io(server.url, { transports: ['websocket'], forceNew: true, query: { presence: 'list' } });
  t.after(() => socket.disconnect());
  let online = [];
  socket.on('online_users', (users) => { online = users.map((user) => user.name); });
  socket.on('connect', () => socket.emit('sync'));
  return (expected, what) => until(() => JSON.stringify(online) === JSON.stringify(expected), what, { show: () => online });
}

const script = () => `<script src="${server.url}/rollcall.js" defer></script>`;
const ann = `user='{"id":1,"name":"Ann"}'`;

test('a foreign page with a strict policy shows the list and registers its user', async (t) => {
  const online = watcher(t);
  const { page, sockets } = await openHost(t, `${script()}
    <h1>A shop</h1><rollcall-online id="a" ${ann}></rollcall-online><rollcall-online id="b" limit="1"></rollcall-online>`);
  await online(['Ann'], 'Ann to be registered by the attribute');
  await page.locator('#a').getByText('Ann').waitFor();
  await page.locator('#a').getByText('1 online').waitFor();
  assert.equal(await page.locator('#a .avatar').evaluate((avatar) => getComputedStyle(avatar).borderRadius), '50%', 'styled, though the page allows no styles');

  await page.evaluate(() => {
    window.heard = [];
    document.addEventListener('rollcall:change', (event) => window.heard.push([event.target.id, event.detail.count, event.detail.users.at(-1)?.name]));
  });
  const ben = io(server.url, { transports: ['websocket'], forceNew: true });
  t.after(() => ben.disconnect());
  ben.emit('register', { id: 2, name: 'Ben' });
  await page.locator('#a').getByText('Ben').waitFor();
  await page.locator('#b').getByText('and 1 more').waitFor();
  assert.deepEqual((await page.evaluate(() => window.heard.filter(([, count]) => count === 2))).sort(), [['a', 2, 'Ben'], ['b', 2, 'Ben']]);
  assert.equal(sockets.length, 1, 'one connection for both');
  await shot(page, 'widget');

  await page.locator('#a').evaluate((element) => element.setAttribute('user', '{"id":1,"name":"Anna"}'));
  await online(['Anna', 'Ben'], 'Ann to be renamed');
  await page.locator('#a').evaluate((element) => element.removeAttribute('user'));
  await online(['Ben'], 'Ann to be signed out');
  ben.disconnect();
  await online([], 'Ben to leave');
  await page.locator('#b').getByText('Nobody is online yet.').waitFor();
});

test('navigation that replaces the body keeps the connection, removal ends it', async (t) => {
  const online = watcher(t);
  const { page, sockets } = await openHost(t, `${script()}<rollcall-online ${ann}></rollcall-online>`);
  await online(['Ann'], 'Ann to come');
  // What Turbo does: a new body, its scripts run again.
  await page.evaluate(async (src) => {
    const body = document.createElement('body');
    const element = document.createElement('rollcall-online');
    element.setAttribute('user', '{"id":1,"name":"Ann"}');
    body.append(element);
    document.documentElement.replaceChild(body, document.body);
    const again = document.createElement('script');
    again.src = src;
    body.append(again);
    await new Promise((resolve) => { again.onload = resolve; });
  }, `${server.url}/rollcall.js?again`);
  await page.getByText('Ann').waitFor();
  assert.equal(sockets.length, 1);
  assert.equal(sockets[0].isClosed(), false);

  await page.evaluate(() => document.querySelector('rollcall-online').remove());
  await online([], 'Ann to leave with the last element');
  await until(() => sockets[0].isClosed(), 'the connection to be closed');
  await page.evaluate(() => document.body.append(document.createElement('rollcall-online')));
  await page.getByText('Nobody is online yet.').waitFor();
  assert.equal(sockets.length, 2);
});

test('without the official client', async (t) => {
  const online = watcher(t);
  const profileOptions = { expected: [/Failed to load resource.*404/] };
  const profile = await cleanProfile(t, profileOptions);
  await profile.context.route('**/socket.io/socket.io.min.js', (route) => route.fulfill({ status: 404, body: 'not built' }));
  hostPages.set('/lite', `${script()}<rollcall-online ${ann}></rollcall-online>`);
  const page = await profile.open(`${hostURL}/lite`);
  await online(['Ann'], 'Ann to come');
  await page.getByText('Ann').waitFor();
  assert.equal(await page.evaluate(() => typeof window.io), 'undefined');
  await page.close();
  await online([], 'Ann to leave with her page');
});

test('as a module of another origin', async (t) => {
  const online = watcher(t);
  await openHost(t, `<script type="module" src="${server.url}/rollcall.mjs"></script><rollcall-online ${ann}></rollcall-online>`);
  await online(['Ann'], 'Ann to come');
});

test('the client that the host page has is used, however old', async (t) => {
  const online = watcher(t);
  let ours = 0;
  const { page } = await openHost(t, `<script src="/old-client.js"></script>${script()}<rollcall-online ${ann}></rollcall-online>`);
  page.on('request', (request) => request.url().includes('socket.io.min.js') && ours++);
  await page.reload();
  await online(['Ann'], 'Ann to come');
  await page.locator('rollcall-online').getByText('Ann').waitFor();
  assert.deepEqual(await names(page), ['Ann']);
  assert.equal(ours, 0);
  assert.equal(await page.evaluate(() => window.io.protocol), 4);
});

test('a broken user attribute is said, and the list is there all the same', async (t) => {
  const { page } = await openHost(t, `${script()}<rollcall-online user="Ann"></rollcall-online>`);
  await page.getByRole('alert').getByText('The user attribute is not a JSON object.').waitFor();
  await page.getByText('Nobody is online yet.').waitFor();
  await page.locator('rollcall-online').evaluate((element) => element.setAttribute('user', '{"name":"Ann"}'));
  await page.locator('rollcall-online li:has(.you:visible)').getByText('Ann').waitFor();
  assert.equal(await page.getByRole('alert').count(), 0);
});
