// Pages in a browser: what visitors do on Rollcall's own, and a site of another
// origin, as the original application is: pages that load a socket.io client and
// run the application's own lines.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { cleanProfile } from './browser.mjs';
import { until } from './wait.mjs';

// visitor is somebody with a browser of their own who has opened the page; with a
// name, they are in the list. At the test's end nothing must have gone wrong in it.
export async function visitor(t, url, name = '', { lite, ...options } = {}) {
  if (lite) options = { ...options, expected: [...(options.expected ?? []), /Failed to load resource.*404/] };
  const profile = await cleanProfile(t, options);
  if (lite) await profile.context.route('**/socket.io/socket.io.min.js', (route) => route.fulfill({ status: 404, body: 'not built' }));
  const page = await profile.open(url);
  page.profile = profile;
  await isLive(page);
  if (name) await signIn(page, name);
  return page;
}

export const isLive = (page) => page.locator('#state[data-state=live]').waitFor();

export async function signIn(page, name) {
  await page.getByLabel('Your name').fill(name);
  await page.getByRole('button', { name: 'Join' }).click();
  // Those who come later are below, in every list.
  await page.locator('rollcall-online li:has(.you:visible) .name').getByText(name, { exact: true }).waitFor();
}

// shows waits until the texts of all that a selector finds are these.
export async function shows(page, selector, expected) {
  let seen;
  await until(async () => {
    seen = await page.locator(selector).allTextContents();
    return JSON.stringify(seen) === JSON.stringify(expected);
  }, `${selector} to be ${JSON.stringify(expected)}`, { show: () => seen });
}

// calm waits until nothing is complained about.
export const calm = (page) => shows(page, '[role=alert]:visible', []);

// loses cuts a page's connection and waits until the page has noticed. It stays
// without a network, so that this cannot be missed.
export async function loses(page, proxy) {
  await page.profile.context.setOffline(true);
  proxy.cut();
  await page.locator('#state[data-state=reconnecting]').waitFor();
}

export const finds = async (page) => {
  await page.profile.context.setOffline(false);
  await isLive(page);
};

// narrow asserts that nothing is wider than a phone.
export async function narrow(page) {
  await page.setViewportSize({ width: 360, height: 740 });
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360, 'something is wider than a phone');
}

const require = createRequire(import.meta.url);
const oldClient = readFileSync(join(dirname(require.resolve('client-1.3/package.json')), 'socket.io.js'));

// What the page does with an event is what the application did: it keeps it.
const application = `
  var log = [];
  var socket = io(SERVER, OPTIONS);
  ['online_users', 'add_user', 'update_user', 'remove_user', 'rollcall_error'].forEach(function (event) {
    socket.on(event, function (data, more) { log.push([event, data, more]); });
  });
  socket.on('online_users', function (users) { window.users = users; });
  socket.on('connect', function () { log.push(['connect', socket.io.engine.transport.name]); });
  socket.on('disconnect', function (reason) { log.push(['disconnect', reason]); });
  window.transport = function () { return socket.io.engine.transport.name; };
  socket.emit('register', window.CURRENT_RACER);
`;

// startSite serves /1.3 and /4.8; ?racer= is the JSON of CURRENT_RACER and
// ?options= of what io() is given. The 4.8 client comes from Rollcall itself.
export async function startSite(t, rollcall) {
  const site = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url, 'http://site');
    if (pathname === '/client-1.3.js') return response.setHeader('Content-Type', 'text/javascript').end(oldClient);
    const script = { '/1.3': '/client-1.3.js', '/4.8': `${rollcall.url}/socket.io/socket.io.js` }[pathname];
    if (!script) return response.writeHead(404).end();
    // JSON in a script: < is escaped so that no name ends it.
    const literal = (name) => (searchParams.get(name) ?? '{}').replace(/</g, '\\u003c');
    response.setHeader('Content-Type', 'text/html; charset=utf-8');
    response.end(`<!doctype html><title>${pathname}</title><link rel="icon" href="data:,">
<script>var SERVER = ${JSON.stringify(rollcall.url)}, OPTIONS = ${literal('options')}; window.CURRENT_RACER = ${literal('racer')};</script>
<script src="${script}"></script>
<script>${application}</script>`);
  });
  // By name, so that the site is of another host too, not only another port.
  await new Promise((resolve) => site.listen(0, '127.0.0.1', resolve));
  t.after(() => new Promise((resolve) => {
    site.close(resolve);
    site.closeAllConnections();
  }));
  const origin = `http://localhost:${site.address().port}`;
  return {
    origin,
    page: (version, racer, options = {}) => `${origin}/${version}?${new URLSearchParams({ racer: JSON.stringify(racer), options: JSON.stringify(options) })}`,
  };
}
