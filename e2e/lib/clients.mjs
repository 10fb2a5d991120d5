// The JavaScript clients people have installed, behind one small wrapper.
import { createRequire } from 'node:module';
import { until } from './wait.mjs';

const require = createRequire(import.meta.url);

export const versions = {
  '1.7.4': { io: require('client-1.7'), eio: 3 },
  '2.5.0': { io: require('client-2.5'), eio: 3 },
  '3.1.3': { io: require('client-3.1').io, eio: 4 },
  '4.8.4': { io: require('client-4.8').io, eio: 4 },
};

export const modes = {
  polling: ['polling'],
  websocket: ['websocket'],
  upgrade: ['polling', 'websocket'],
};

// every: all pairs of version and mode.
export const every = Object.keys(versions).flatMap((version) => Object.keys(modes).map((mode) => ({ version, mode })));

// covering: some of them, with every version, and with every mode in either
// generation of the protocol. For what depends on these, and not on the pair.
export const covering = [
  ['1.7.4', 'polling'], ['1.7.4', 'upgrade'], ['2.5.0', 'websocket'], ['3.1.3', 'polling'], ['4.8.4', 'websocket'], ['4.8.4', 'upgrade'],
].map(([version, mode]) => ({ version, mode }));

// direct: those of covering that do not change their transport.
export const direct = covering.filter(({ mode }) => mode !== 'upgrade');

// What a client may be sent, but for events whose names hold a name.
const EVENTS = [
  'online_users', 'add_user', 'update_user', 'remove_user', 'online_count', 'updateOnlineUsers',
  'user_list', 'user_joined', 'user_left', 'message', 'typing', 'signed_out', 'rollcall_error',
];

// Client records every event it receives, in order.
export class Client {
  constructor(url, { version, mode, ...options }) {
    this.name = `${version} ${mode}`;
    this.mode = mode;
    this.events = [];
    this.socket = versions[version].io(url, {
      transports: modes[mode],
      forceNew: true,
      reconnection: false,
      ...options,
    });
    for (const event of EVENTS) {
      this.socket.on(event, (...args) => this.events.push({ event, args }));
    }
    for (const event of ['connect_error', 'error', 'disconnect']) {
      this.socket.on(event, (reason) => this.events.push({ event, args: [String(reason?.message ?? reason)] }));
    }
  }

  get engine() {
    return this.socket.io.engine;
  }

  // settled: connected, and on the transport its mode ends with.
  async settled() {
    await this.until(() => this.socket.connected, 'the connection');
    if (this.mode !== 'polling') await this.until(() => this.engine.transport.name === 'websocket', 'the WebSocket');
    return this;
  }

  until(probe, what, options) {
    return until(probe, `${what} (client ${this.name})`, { show: () => this.events.slice(-5), ...options });
  }

  // ask emits and resolves with the acknowledgement.
  async ask(event, ...args) {
    let answer;
    this.socket.emit(event, ...args, (reply) => { answer = reply; });
    await this.until(() => answer, `the acknowledgement of ${event}`);
    return answer;
  }

  of(event) {
    return this.events.filter((one) => one.event === event).map((one) => one.args);
  }

  // sees waits for an event whose arguments satisfy test.
  sees(event, test = () => true, since = 0) {
    return this.until(() => this.events.slice(since).find((one) => one.event === event && test(...one.args))?.args, event);
  }

  get list() {
    return this.of('online_users').at(-1)?.[0];
  }

  listed(...ids) {
    return this.until(() => same(this.list?.map((user) => user.id), ids), `the list ${ids}`);
  }

  close() {
    this.socket.io.reconnection?.(false);
    this.socket.disconnect();
    this.socket.io.engine?.close();
  }
}

// connect opens a client for the test t and waits until it is settled.
export async function connect(t, url, options) {
  const client = open(t, url, options);
  return client.settled();
}

export function open(t, url, options) {
  const client = new Client(url, options);
  t.after(() => client.close());
  return client;
}

// replay applies increments to a list, as the protocol says an application may.
export function replay(events) {
  let users = [];
  for (const { event, args: [user] } of events) {
    if (event === 'online_users') users = [...user];
    if (event === 'add_user') users = [...users.filter((one) => one.id !== user.id), user];
    if (event === 'update_user') users = users.map((one) => (one.id === user.id ? user : one));
    if (event === 'remove_user') users = users.filter((one) => one.id !== user.id);
  }
  return users;
}

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
