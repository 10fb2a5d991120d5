// Pages of origins that are not in CORS_ORIGINS, in a real browser: whatever a
// page can do to read from the server, or to be noticed by it, is refused.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { browser } from './lib/browser.mjs';
import { startServer } from './lib/server.mjs';
import { PATIENCE } from './lib/wait.mjs';

let pages, ours, foreign;

// Two sites of their own: the server's is 127.0.0.1, these are localhost and a
// name that the browser is told to look up at the same address.
before(async () => {
  pages = createServer((request, response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>a page</title>'));
  await new Promise((resolve) => pages.listen(0, '127.0.0.1', resolve));
  const { port } = pages.address();
  ours = `http://localhost:${port}`;
  foreign = `http://evil.localhost:${port}`;
});
after(() => pages?.close());

// attempts run in a page, and tell what each way to the server came to.
async function attempts(base) {
  const load = (tag, src, more = {}) => new Promise((resolve) => {
    const element = Object.assign(document.createElement(tag), { onload: () => resolve('loaded'), onerror: () => resolve('refused'), ...more, src });
    document.head.append(element);
  });
  const read = [];
  window.___eio = [(text) => read.push(text)];
  const got = { jsonp: await load('script', `${base}/socket.io/?EIO=3&transport=polling&j=0&t=1`) };
  got.jsonpWithoutReferrer = await load('script', `${base}/socket.io/?EIO=3&transport=polling&j=0&t=2`, { referrerPolicy: 'no-referrer' });
  got.fetch = await fetch(`${base}/api/online_users`).then((r) => r.status, () => 'refused');
  got.opaque = await fetch(`${base}/socket.io/?EIO=4&transport=polling`, { mode: 'no-cors' }).then(() => 'sent', () => 'refused');
  await load('img', `${base}/socket.io/?EIO=4&transport=polling&t=3`);
  got.webSocket = await new Promise((resolve) => {
    const socket = new WebSocket(`${base.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`);
    Object.assign(socket, { onopen: () => { socket.close(); resolve('open'); }, onerror: () => resolve('refused') });
  });
  got.file = await load('script', `${base}/rollcall.js`);
  got.read = read.length;
  return got;
}

async function visit(page, base) {
  const context = await (await browser()).newContext();
  context.setDefaultTimeout(PATIENCE);
  const tab = await context.newPage();
  await tab.goto(page);
  const got = await tab.evaluate(attempts, base);
  await context.close();
  return got;
}

const series = async (server, name) => {
  const text = await (await fetch(`${server.url}/metrics`)).text();
  return Number(text.split('\n').find((line) => line.startsWith(`${name} `))?.split(' ')[1] ?? 0);
};

test('a page of a foreign origin reads nothing and opens nothing', async () => {
  const server = await startServer({ HOST: '127.0.0.1', CORS_ORIGINS: ours });
  try {
    assert.deepEqual(await visit(foreign, server.url), {
      jsonp: 'refused', jsonpWithoutReferrer: 'refused', fetch: 'refused', opaque: 'sent', webSocket: 'refused', file: 'loaded', read: 0,
    });
    assert.equal(await series(server, 'rollcall_connections'), 0, 'no session was made');
    assert.ok(await series(server, 'rollcall_refusals_total{reason="forbidden_origin"}') >= 4);

    const allowed = await visit(ours, server.url);
    assert.deepEqual([allowed.fetch, allowed.webSocket, allowed.jsonp, allowed.read], [200, 'open', 'refused', 0]);
  } finally {
    await server.stop();
  }
});

test("the server's own page still may, without being listed", async () => {
  const server = await startServer({ HOST: '127.0.0.1', CORS_ORIGINS: ours });
  try {
    const own = await visit(server.url, server.url);
    assert.deepEqual([own.fetch, own.webSocket, own.jsonp, own.read], [200, 'open', 'refused', 0]);
  } finally {
    await server.stop();
  }
});

test('with every origin allowed JSONP works as before', async () => {
  const server = await startServer({ HOST: '127.0.0.1' });
  try {
    const got = await visit(foreign, server.url);
    assert.deepEqual([got.jsonp, got.fetch, got.webSocket], ['loaded', 200, 'open']);
    assert.ok(got.read > 0);
  } finally {
    await server.stop();
  }
});

test('a name that leads here (DNS rebinding) is not answered for, if ALLOWED_HOSTS does not list it', async () => {
  const server = await startServer({ HOST: '127.0.0.1', CORS_ORIGINS: ours, ALLOWED_HOSTS: '127.0.0.1' });
  try {
    const rebound = `http://rebound.localhost:${server.port}`;
    const got = await visit(rebound, rebound); // of the same origin, to the browser
    assert.deepEqual([got.fetch, got.webSocket, got.jsonp, got.read, got.file], [403, 'refused', 'refused', 0, 'refused']);
    const own = await visit(server.url, server.url);
    assert.deepEqual([own.fetch, own.webSocket], [200, 'open']);
  } finally {
    await server.stop();
  }
});
