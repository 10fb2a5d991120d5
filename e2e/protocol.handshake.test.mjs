// Requests that do not belong to a session, or not to this one: statuses,
// error codes and headers, compared with Node.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WebSocket } from 'ws';
import { io } from 'client-4.8';
import { compare } from './lib/compare.mjs';
import { PollSession, request, WsSession } from './lib/raw.mjs';
import { startTarget } from './lib/target.mjs';
import { PATIENCE, until } from './lib/wait.mjs';

const path = (query) => `/socket.io/?${query}`;
const upgrading = { Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==' };

// reduced: what a client can tell of an answer: its status and, of an error, type
// and body byte for byte.
function reduced({ status, headers, body }) {
  return status === 200 || status === 101 ? { status } : { status, type: headers['content-type'], body };
}

const ask = (options) => async (server) => {
  const answer = reduced(await request(server, options));
  // What does not get as far as Engine.IO is refused in the words of Node's ws.
  return options.inWords ? { status: answer.status } : answer;
};

const handshakes = {
  'no parameters': { path: '/socket.io/' },
  'no transport': { path: path('EIO=4') },
  'an unknown transport': { path: path('EIO=4&transport=carrier-pigeon') },
  'a transport named like a method of objects': { path: path('EIO=4&transport=constructor') },
  'webtransport over HTTP': { path: path('EIO=4&transport=webtransport') },
  'two transports': { path: path('EIO=4&transport=polling&transport=websocket'), rollcall: { status: 200, type: undefined, body: undefined }, because: 'the first one counts; Node makes a list of them that is no transport' },
  'WebSocket without upgrade': { path: path('EIO=4&transport=websocket') },
  'POST': { method: 'POST', path: path('EIO=4&transport=polling'), body: '40' },
  'PUT': { method: 'PUT', path: path('EIO=4&transport=polling') },
  'DELETE': { method: 'DELETE', path: path('EIO=4&transport=polling') },
  'PATCH': { method: 'PATCH', path: path('EIO=4&transport=polling') },
  'an unknown sid': { path: path('EIO=4&transport=polling&sid=nobody') },
  'an unknown sid, EIO3': { path: path('EIO=3&transport=polling&sid=nobody') },
  'a sid named __proto__': { path: path('EIO=4&transport=polling&sid=__proto__') },
  'a sid of 5,000 characters': { path: path(`EIO=4&transport=polling&sid=${'x'.repeat(5000)}`) },
  'POST to an unknown sid': { method: 'POST', path: path('EIO=4&transport=polling&sid=nobody'), body: '40' },
  'an unknown sid over WebSocket': { path: path('EIO=4&transport=websocket&sid=nobody'), headers: upgrading },
  'WebSocket without a transport': { path: path('EIO=4'), headers: upgrading },
  'WebSocket with a broken protocol': { inWords: true, path: path('EIO=4&transport=websocket'), headers: { ...upgrading, 'Sec-WebSocket-Protocol': 'a b' } },
  'WebSocket with an empty protocol': { inWords: true, path: path('EIO=4&transport=websocket'), headers: { ...upgrading, 'Sec-WebSocket-Protocol': 'a,,b' } },
  'WebSocket with an unknown transport': { path: path('EIO=4&transport=pigeon'), headers: upgrading },
  'WebSocket without a key': { inWords: true, path: path('EIO=4&transport=websocket'), headers: { ...upgrading, 'Sec-WebSocket-Key': '' } },
  'WebSocket version 12': { inWords: true, path: path('EIO=4&transport=websocket'), headers: { ...upgrading, 'Sec-WebSocket-Version': '12' } },
  'upgrade to something else': { inWords: true, path: path('EIO=4&transport=websocket'), headers: { ...upgrading, Upgrade: 'h2c' } },
};

compare('handshakes', Object.entries(handshakes).map(([name, options]) => ({ name, run: ask(options), rollcall: options.rollcall, because: options.because })));

// Every path below /socket.io/ but the client's files is the endpoint.
const below = {
  'a path of 0.9': '/socket.io/1/',
  'a path of 0.9 with its transport': '/socket.io/1/websocket/',
  'a path below': '/socket.io/a/b',
  'a file that is none of the client\'s': '/socket.io/package.json',
  'a client file that is further below': '/socket.io/1/socket.io.js',
  'two slashes': '/socket.io//',
};
compare('paths of the endpoint', Object.entries(below).flatMap(([name, at]) => [
  { name, run: ask({ path: at }) },
  { name: `${name}, a WebSocket`, run: ask({ path: `${at}?EIO=4&transport=websocket&sid=nobody`, headers: upgrading }) },
  {
    name: `${name}, a handshake`,
    async run(server) {
      const { status, headers, body } = await request(server, { path: `${at}?EIO=3&transport=polling` });
      return { status, type: headers['content-type'], shape: shape(body) };
    },
  },
]));

// shape is a payload's first packet, with the session's id and its length left
// out. The packets that follow it may or may not come with it.
const shape = (body) => body.replace(/"sid":"[\w-]+"/, '"sid":"…"').replace(/^\d+:/, '…:').replace(/\}2:40$/, '}');

// What the clients of microcontrollers and games send, which look for text.
compare('the first packet', [
  'EIO=3&transport=polling', 'EIO=4&transport=polling', 'EIO=2&transport=polling&b64=true',
  'EIO=3&transport=polling&b64=1', 'EIO=3&transport=polling&b64=1&t=1', 'EIO=4&transport=polling&t=1', 'transport=polling',
].map((query) => ({
  name: query,
  async run(server) {
    const { status, headers, body } = await request(server, { path: path(query) });
    return { status, type: headers['content-type'], shape: shape(body) };
  },
})));

test('a browser of protocol 3 gets bytes', async (t) => {
  const server = await startTarget(t);
  const { headers, bytes } = await request(server, { path: path('EIO=3&transport=polling&t=1-0') });
  assert.equal(headers['content-type'], 'application/octet-stream');
  assert.equal(bytes[0], 0);
});

// Without the slash behind, as clients with addTrailingSlash: false ask.
test('the endpoint without a slash', async (t) => {
  const server = await startTarget(t);
  const at = '/socket.io?EIO=4&transport=polling';
  const { status, headers, body } = await request(server, { path: at, headers: origin });
  assert.equal(status, 200);
  assert.equal(headers['access-control-allow-origin'], origin.Origin);
  assert.equal(headers['access-control-allow-credentials'], 'true');
  assert.match(body, /^0\{"sid":/);
  const preflight = await request(server, { method: 'OPTIONS', path: at, headers: { ...origin, 'Access-Control-Request-Method': 'POST' } });
  assert.equal(preflight.status, 204);
  assert.equal(preflight.headers['access-control-allow-origin'], origin.Origin);
  for (const transports of [['polling'], ['websocket'], ['polling', 'websocket']]) {
    const socket = io(server.url, { addTrailingSlash: false, transports, forceNew: true, reconnection: false });
    t.after(() => socket.close());
    await new Promise((resolve, reject) => socket.on('connect', resolve).on('connect_error', reject));
    await until(() => socket.io.engine.transport.name === transports.at(-1), 'the last transport');
    assert.deepEqual(await socket.timeout(PATIENCE).emitWithAck('register', { id: transports.join() }), { ok: true });
  }
});

// Browsers fail when they offered protocols and none comes back.
compare('WebSocket protocols', [['racer'], ['b', 'a'], ['a', 'b', 'c']].flatMap((protocols) => [4, 3].map((eio) => ({
  name: `${protocols}, EIO${eio}`,
  async run(server) {
    const ws = new WebSocket(`${server.url.replace('http', 'ws')}${path(`EIO=${eio}&transport=websocket`)}`, protocols);
    try {
      await new Promise((resolve, reject) => ws.once('open', resolve).once('error', reject));
      return { protocol: ws.protocol };
    } finally {
      ws.terminate();
    }
  },
}))));

test('protocols are answered to an upgrade too', async (t) => {
  const server = await startTarget(t);
  const socket = io(server.url, { protocols: ['racer', 'v2'], transports: ['polling', 'websocket'], forceNew: true, reconnection: false });
  t.after(() => socket.close());
  await until(() => socket.io.engine.transport.name === 'websocket', 'the upgrade');
  assert.equal(socket.io.engine.transport.ws.protocol, 'racer');
});

// Which protocol a handshake without or with an odd EIO is served in: 3 is the
// one that connects without being asked.
compare('protocol versions', ['', '&EIO=3', '&EIO=4', '&EIO=5', '&EIO=2', '&EIO=1', '&EIO=x', '&EIO=', '&EIO=4&EIO=3', '&EIO=44', '&EIO=4.0'].map((eio) => ({
  name: `the handshake of "${eio}"`,
  async run(server) {
    const first = await request(server, { path: path(`transport=polling&b64=1${eio}`) });
    const outcome = reduced(first);
    if (first.status !== 200) return outcome;
    const open = /^\d+:0/.test(first.body) ? 3 : 4;
    const { sid, upgrades, pingInterval, pingTimeout } = JSON.parse(/\{.*?\}/.exec(first.body)[0]);
    await request(server, { method: 'POST', path: path(`transport=polling&b64=1${eio}&sid=${sid}`), body: open === 3 ? '1:1' : '1' });
    return { ...outcome, open, upgrades, pingInterval, pingTimeout };
  },
  ...(eio === '&EIO=4&EIO=3' && { rollcall: { open: 4 }, because: 'the first one counts; Node makes a list of them, which is no 4' }),
})));

// A session asked in another way than it was opened.
compare('a session in the wrong words', [
  ['the other protocol', 'EIO=3&transport=polling', 'GET'],
  ['no protocol', 'transport=polling', 'GET'],
  ['WebSocket without upgrade', 'EIO=4&transport=websocket', 'GET'],
  ['an unknown transport', 'EIO=4&transport=pigeon', 'GET'],
  ['PUT', 'EIO=4&transport=polling', 'PUT'],
  ['DELETE', 'EIO=4&transport=polling', 'DELETE'],
].map(([name, query, method]) => ({
  name,
  async run(server) {
    const session = await PollSession.open(server, { query: { presence: 'none' }, poll: false });
    const answer = reduced(await request(server, { method, path: path(`${query}&sid=${session.sid}`) }));
    session.pollEnded = session.poll();
    const outcome = { ...answer, session: (await session.alive()) === 'alive' };
    session.close();
    return outcome;
  },
})));

const HEADERS = ['access-control-allow-origin', 'access-control-allow-credentials', 'vary', 'content-type', 'cache-control'];
const pick = (headers) => Object.fromEntries(HEADERS.filter((name) => headers[name]).map((name) => [name, headers[name].toLowerCase()]));
const origin = { Origin: 'https://racer.example' };

compare('headers', [
  { name: 'a handshake, EIO4', run: async (server) => pick((await request(server, { path: path('EIO=4&transport=polling') })).headers), rollcall: { 'access-control-allow-credentials': undefined }, because: 'without an Origin there is nothing to allow' },
  { name: 'a handshake from another origin, EIO4', run: async (server) => pick((await request(server, { path: path('EIO=4&transport=polling'), headers: origin })).headers) },
  { name: 'a handshake from another origin, EIO3', run: async (server) => pick((await request(server, { path: path('EIO=3&transport=polling&b64=1'), headers: origin })).headers) },
  { name: 'an error from another origin', run: async (server) => pick((await request(server, { path: path('EIO=4&transport=polling&sid=x'), headers: origin })).headers) },
  ...[4, 3].map((eio) => ({
    name: `a POST from another origin, EIO${eio}`,
    async run(server) {
      const session = await PollSession.open(server, { eio, query: { presence: 'none' } });
      const { status, headers, body } = await session.post(eio === 4 ? '42["sync"]' : '10:42["sync"]', { headers: origin });
      session.close();
      return { status, body, ...pick(headers) };
    },
  })),
]);

// A browser asks first when a page of another origin posts with credentials.
// Browsers look at these headers alone, so their presence is the contract.
test('the preflight of another origin is granted', async (t) => {
  const server = await startTarget(t);
  const { status, headers } = await request(server, {
    method: 'OPTIONS',
    path: path('EIO=4&transport=polling&sid=x'),
    headers: { ...origin, 'Access-Control-Request-Method': 'POST', 'Access-Control-Request-Headers': 'content-type' },
  });
  assert.ok(status === 200 || status === 204, `status ${status}`);
  assert.equal(headers['access-control-allow-origin'], origin.Origin);
  assert.equal(headers['access-control-allow-credentials'], 'true');
  assert.match(headers['access-control-allow-methods'], /POST/);
  assert.match(headers['access-control-allow-headers'], /content-type/i);
});

test('the handshake says what the contract says', async (t) => {
  const server = await startTarget(t);
  for (const eio of [3, 4]) {
    const polling = await PollSession.open(server, { eio, poll: false });
    assert.match(polling.sid, /^[\w-]{15,}$/);
    assert.deepEqual(polling.handshake.upgrades, ['websocket']);
    assert.equal(polling.handshake.maxPayload, 1_000_000);
    const ws = await WsSession.open(server, { eio });
    assert.deepEqual(ws.handshake.upgrades, []);
    assert.notEqual(ws.sid, polling.sid);
    ws.close();
    polling.close();
  }
});

// Cookies and compression that clients offer must not matter.
test('a WebSocket that offers compression is served', async (t) => {
  const server = await startTarget(t);
  const ws = new WebSocket(`${server.url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`, { perMessageDeflate: true, headers: { Cookie: 'io=1; _racer=%E2%9C%93', ...origin } });
  t.after(() => ws.terminate());
  const first = await new Promise((resolve, reject) => ws.once('message', resolve).once('error', reject));
  assert.ok(JSON.parse(first.toString().slice(1)).sid);
});
