// The wire without a client library: single requests, and sessions over
// WebSocket and polling in both protocol generations (EIO 3 and 4).
import { once } from 'node:events';
import http from 'node:http';
import { connect } from 'node:net';
import { WebSocket } from 'ws';
import { PATIENCE, until, within } from './wait.mjs';

const SEPARATOR = '\x1e';
const BOUND = PATIENCE;

// request sends one HTTP request on a connection of its own and resolves with
// {status, headers, body}; status is an error code or 'hung' when there is no answer.
export function request(server, { method = 'GET', path, query, headers = {}, body, chunked = false, signal, ms = BOUND }) {
  const url = new URL(path ?? `/socket.io/?${new URLSearchParams(query)}`, server.url);
  return new Promise((resolve) => {
    const outgoing = http.request(url, {
      method, headers: lengths(headers, body, chunked), agent: false, signal,
    }, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('error', () => resolve({ status: 'broken', headers: {}, body: '' }));
      response.on('end', () => {
        const bytes = Buffer.concat(chunks);
        resolve({ status: response.statusCode, headers: response.headers, bytes, body: bytes.toString() });
      });
    });
    outgoing.setTimeout(ms, () => {
      resolve({ status: 'hung', headers: {}, body: '' });
      outgoing.destroy();
    });
    outgoing.on('upgrade', (response, socket) => {
      socket.destroy();
      resolve({ status: response.statusCode, headers: response.headers, body: '' });
    });
    outgoing.on('error', (error) => resolve({ status: error.code, headers: {}, body: '' }));
    if (chunked && body !== undefined) outgoing.write(body);
    outgoing.end(chunked ? undefined : body);
  });
}

function lengths(headers, body, chunked) {
  if (body === undefined || chunked) return headers;
  return { 'Content-Length': Buffer.byteLength(body), ...headers };
}

// breakOff sends the beginning of a request, or all of it, and ends the connection.
// The server is sure to get all that was sent, and then the end: both go the same
// way, in this order. An aborted http.request may never have left.
export async function breakOff(server, { method = 'GET', query, headers = {}, body = '' }) {
  const { hostname, port } = new URL(server.url);
  const lines = [
    `${method} /socket.io/?${new URLSearchParams(query)} HTTP/1.1`, `Host: ${hostname}:${port}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
  ];
  const socket = connect(port, hostname);
  socket.on('error', () => {}); // the server may answer an end with a reset
  await once(socket, 'connect');
  await new Promise((resolve) => socket.write(`${lines.join('\r\n')}\r\n\r\n${body}`, resolve));
  socket.destroy();
}

let probes = 900_000;

// Session is what both transports have in common: packets received, and the
// question whether the session still answers.
class Session {
  packets = [];

  // alive asks for an acknowledgement: 'alive', or how the session ended.
  async alive(ms = 15_000) {
    const id = ++probes;
    await this.send(`42${id}["sync"]`);
    const answered = () => this.packets.some((packet) => packet.startsWith?.(`43${id}[`));
    return until(() => (answered() ? 'alive' : this.ended), 'an answer or an end', { ms }).catch(() => 'silent');
  }

  // events: the decoded events of one name, as JSON texts.
  events(name) {
    const head = `42${JSON.stringify([name]).slice(0, -1)}`;
    return this.packets.filter((packet) => packet.startsWith?.(`${head},`)).map((packet) => packet.slice(head.length + 1, -1));
  }

  until(probe, what) {
    return until(probe, what, { ms: PATIENCE, show: () => ({ ended: this.ended, packets: this.packets.slice(-5) }) });
  }

  connected() {
    return this.until(() => this.packets.some((packet) => packet.startsWith?.('40')), 'CONNECT');
  }

  // replies reduces what came back to what is comparable between servers:
  // no pings and noops, no events, no ids or payloads. Of a session that ended
  // no acknowledgements and no close packet either: whether a poll was waiting
  // for them is chance.
  get replies() {
    const chance = this.ended ? /^(43|1$)/ : /^never$/;
    return this.packets.slice(this.mark)
      .filter((packet) => typeof packet === 'string' && !/^(2|6|42|45|43900\d\d\d\[|439\d\d\d\d\d\[)/.test(packet) && !chance.test(packet))
      .map((packet) => /^(4[0-6]\d*|.)/.exec(packet)[0]);
  }

  // played forgets the handshake's packets.
  played() {
    this.mark = this.packets.length;
    return this;
  }
}

export class WsSession extends Session {
  static async open(server, { eio = 4, sid, connect = true, query = {}, headers } = {}) {
    const session = new WsSession();
    const params = new URLSearchParams({ EIO: eio, transport: 'websocket', ...(sid && { sid }), ...query });
    session.ws = new WebSocket(`${server.url.replace('http', 'ws')}/socket.io/?${params}`, { headers, perMessageDeflate: false });
    session.closed = new Promise((resolve) => {
      session.ws.on('close', (code) => resolve(session.ended ??= `closed ${code}`));
    });
    session.ws.on('error', (error) => { session.error = error.message; });
    session.ws.on('message', (data, isBinary) => session.packets.push(isBinary ? data : data.toString()));
    session.ws.on('unexpected-response', (_, response) => {
      session.ended = `refused ${response.statusCode}`;
      response.resume();
      session.ws.terminate();
    });
    await until(() => session.ws.readyState !== WebSocket.CONNECTING || session.ended, 'the WebSocket');
    if (sid || session.ended) return session;
    await session.until(() => session.packets.length > 0, 'OPEN');
    session.handshake = JSON.parse(session.packets[0].slice(1));
    session.sid = session.handshake.sid;
    if (connect && eio === 4) await session.send('40');
    if (connect) await session.connected();
    return session.played();
  }

  // send takes a text, bytes for a binary message, or {text: bytes}.
  send(packet) {
    if (this.ws.readyState !== WebSocket.OPEN) return;
    if (packet.text) this.ws.send(packet.text, { binary: false });
    else this.ws.send(packet);
  }

  // arrived waits until the server has taken what was sent before, or the end: it
  // answers pings on the connection in the order in which it reads.
  async arrived() {
    const pong = new Promise((resolve) => this.ws.once('pong', resolve));
    if (this.ws.readyState === WebSocket.OPEN) this.ws.ping();
    await within(Promise.race([pong, this.closed]), 'a pong or the end');
  }

  close() {
    this.ws.terminate();
  }
}

export class PollSession extends Session {
  static async open(server, { eio = 4, connect = true, poll = true, query = {} } = {}) {
    const session = new PollSession();
    session.server = server;
    session.eio = eio;
    session.query = { EIO: eio, transport: 'polling', ...query };
    const { body, status } = await session.get();
    if (status !== 200) throw new Error(`handshake: ${status} ${body}`);
    session.handshake = JSON.parse(session.packets.shift().slice(1));
    session.sid = session.handshake.sid;
    session.query.sid = session.sid;
    if (connect && eio === 4) await session.send('40');
    while (connect && !session.packets.some((packet) => packet.startsWith('40'))) await session.get();
    if (poll) session.pollEnded = session.poll();
    return session.played();
  }

  request(options) {
    return request(this.server, { query: this.query, signal: this.#abort.signal, ...options });
  }

  // get is one poll; its packets are recorded.
  async get() {
    const answer = await this.request();
    if (answer.status === 200) this.packets.push(...this.decode(answer));
    this.gone = answer.status !== 200 ? `poll ${answer.status}` : this.packets.includes('1') && 'close packet';
    if (this.gone) this.ended ??= this.gone;
    return answer;
  }

  // poll keeps a GET waiting, as clients do, until the session has ended.
  async poll() {
    this.polling = true;
    while (!this.gone && this.polling) await this.get();
  }

  decode({ body, bytes, headers }) {
    if (this.eio === 4) return body.split(SEPARATOR);
    if (headers['content-type'] === 'application/octet-stream') return decodeBinary(bytes);
    const packets = [];
    for (let rest = body; rest;) {
      const colon = rest.indexOf(':');
      const length = Number(rest.slice(0, colon));
      packets.push(rest.slice(colon + 1, colon + 1 + length));
      rest = rest.slice(colon + 1 + length);
    }
    return packets;
  }

  post(body, options = {}) {
    return this.request({ method: 'POST', body, ...options, headers: { 'Content-Type': 'text/plain;charset=UTF-8', ...options.headers } });
  }

  // send posts packets in one payload and records when the session is gone.
  async send(...packets) {
    const answer = await this.post(payload(this.eio, ...packets));
    if (answer.status !== 200) this.ended ??= `post ${answer.status}`;
    return answer;
  }

  #abort = new AbortController();

  close() {
    this.polling = false;
    this.ended ??= 'closed by the test';
    this.#abort.abort();
  }
}

// payload is a polling body. EIO 3 counts UTF-16 code units, as JavaScript does.
export function payload(eio, ...packets) {
  if (eio === 4) return packets.join(SEPARATOR);
  return packets.map((packet) => `${packet.length}:${packet}`).join('');
}

// binaryPayload is EIO 3's: <0 text|1 bytes><digits><255><data> for each packet.
export function binaryPayload(...packets) {
  return Buffer.concat(packets.flatMap((packet) => {
    const text = typeof packet === 'string';
    const data = Buffer.from(packet);
    return [Buffer.from([text ? 0 : 1, ...String(data.length).split('').map(Number), 255]), data];
  }));
}

function decodeBinary(bytes) {
  const packets = [];
  for (let rest = bytes; rest.length;) {
    const end = rest.indexOf(255);
    const length = Number([...rest.subarray(1, end)].join(''));
    const data = rest.subarray(end + 1, end + 1 + length);
    packets.push(rest[0] === 0 ? data.toString() : data);
    rest = rest.subarray(end + 1 + length);
  }
  return packets;
}
