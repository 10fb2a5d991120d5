// Where samples are run: pages of another origin in Chromium, with the client
// that code_racer ships (1.3.2) or the one Rollcall serves (4.8), and peers.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { io } from 'client-4.8';
import { cleanProfile } from '../lib/browser.mjs';
import { startTarget } from '../lib/target.mjs';
import { until } from '../lib/wait.mjs';

const oldClient = readFileSync(createRequire(import.meta.url).resolve('client-1.3/socket.io.js'));

export const clients = ['1.3', '4.8'];

// atEnd runs what ends a test's things in the opposite order of their making:
// pages and peers before the server, whose end would be a fault to them.
const endings = new WeakMap();
export function atEnd(t, end) {
  if (!endings.has(t)) {
    const ends = [];
    endings.set(t, ends);
    t.after(async () => {
      const failures = [];
      while (ends.length) await ends.pop()().catch((error) => failures.push(error));
      if (failures.length) throw failures[0];
    });
  }
  endings.get(t).push(async () => end());
}

// serve starts a server for the test t. A page that is closed between two
// polls is missed at the next ping only.
export const serve = (t, env) => startTarget({ after: (end) => atEnd(t, end) }, { PING_INTERVAL: '1s', PING_TIMEOUT: '15s', ...env });

// eachClient runs a test of a page with both clients.
export const eachClient = (name, body) => clients.forEach((client) => test(`${name} (client ${client})`, (t) => body(t, client)));

// Fixture is one browser and one site for a file's tests.
export class Fixture {
  #pages = [];

  async start() {
    this.site = createServer((request, response) => {
      if (request.url === '/client-1.3.js') return response.setHeader('Content-Type', 'text/javascript').end(oldClient);
      const page = request.url === '/login' ? '<title>Sign in</title><link rel="icon" href="data:,">' : this.#pages[request.url.slice(1)];
      if (page === undefined) return response.writeHead(404).end();
      response.setHeader('Content-Type', 'text/html; charset=utf-8');
      response.end(`<!doctype html>${page}`);
    });
    await new Promise((resolve) => this.site.listen(0, '127.0.0.1', resolve));
    // By name, so that the site is of another host too, not only another port.
    this.origin = `http://localhost:${this.site.address().port}`;
  }

  async stop() {
    this.site?.closeAllConnections();
    this.site?.close();
  }

  // open is somebody's tab with a page of that body, in which the scripts run
  // one after the other. What it says on the console is in `said`; an error in
  // it fails the test, unless it is expected. The answers are functions that
  // give what the application says at a path: a text, or what fulfill() takes.
  async open(t, { server, client = '4.8', body = '', scripts, answers = {}, expected }) {
    const tags = scripts.map((script) => `<script>${script}</script>`).join('\n');
    const source = client && `<script src="${client === '1.3' ? '/client-1.3.js' : `${server.url}/socket.io/socket.io.js`}"></script>`;
    const path = `/${this.#pages.push(`<title>A page</title><link rel="icon" href="data:,">${body}${source}${tags}`) - 1}`;
    const profile = await cleanProfile({ after: (end) => atEnd(t, end) }, { expected });
    const page = await profile.context.newPage();
    for (const [at, answer] of Object.entries(answers)) await page.route(this.origin + at, (route) => {
      const said = answer();
      return route.fulfill(typeof said === 'string' ? { body: said } : said);
    });
    page.said = [];
    page.on('console', (message) => page.said.push(message.text()));
    await page.goto(this.origin + path);
    return page;
  }
}

// connected is a script for samples that take their socket as given.
export const connected = (server, options = {}) => `const socket = io("${server.url}", ${JSON.stringify(options)});`;

// shows waits until an expression in the page has that value.
export async function shows(page, expression, expected) {
  let seen;
  const wanted = JSON.stringify(expected);
  await until(async () => {
    seen = await page.evaluate(expression).catch((error) => error.message);
    return JSON.stringify(seen) === wanted;
  }, `${expression} to be ${wanted}`, { show: () => seen });
}

// says waits until the page has written that to its console.
export const says = (page, text) => until(() => page.said.includes(text), `the page to say "${text}"`, { show: () => page.said });

// Peer is another client, which keeps all that arrives.
export class Peer {
  constructor(t, server, options = {}) {
    this.heard = [];
    this.socket = io(server.url, { transports: ['websocket'], forceNew: true, reconnection: false, ...options });
    this.socket.onAny((event, ...args) => this.heard.push([event, ...args]));
    atEnd(t, () => this.socket.disconnect());
  }

  // ask emits and resolves with the answer.
  async ask(event, ...args) {
    let answer;
    this.socket.emit(event, ...args, (reply) => { answer = reply; });
    await until(() => answer, `the answer to ${event}`, { show: () => this.heard.slice(-5) });
    return answer;
  }

  async does(event, ...args) {
    const answer = await this.ask(event, ...args);
    assert.equal(answer.ok, true, `${event} was refused: ${JSON.stringify(answer)}`);
    return answer;
  }

  of(event) {
    return this.heard.filter(([name]) => name === event).map(([, ...args]) => args);
  }

  // hears waits for an event whose arguments satisfy test.
  hears(event, test = () => true) {
    return until(() => this.of(event).find((args) => test(...args)), `${event} at a peer`, { show: () => this.heard.slice(-5) });
  }

  // sees waits until these are the ids of the list.
  sees(...ids) {
    return until(() => JSON.stringify(this.of('online_users').at(-1)?.[0].map((user) => user.id)) === JSON.stringify(ids),
      `the list ${ids} at a peer`, { show: () => this.heard.slice(-3) });
  }

  close() {
    this.socket.disconnect();
  }
}

// joined is a peer that has registered.
export async function joined(t, server, user, options) {
  const peer = new Peer(t, server, options);
  await peer.does('register', user);
  return peer;
}

// What Chromium notes when the server ends a connection.
export const cut = [/^console: WebSocket connection to .* failed: /, /^console: Failed to load resource: /];

// startRails serves a list of tracks, as the Rails app does.
export async function startRails(t, tracks = [{ id: 11, name: 'Monza' }]) {
  const rails = createServer((request, response) => {
    if (request.url !== '/api/tracks') return response.writeHead(404).end();
    response.setHeader('Content-Type', 'application/json');
    response.end(JSON.stringify(tracks));
  });
  await new Promise((resolve) => rails.listen(0, '127.0.0.1', resolve));
  atEnd(t, () => {
    rails.closeAllConnections();
    rails.close();
  });
  return `http://127.0.0.1:${rails.address().port}`;
}
