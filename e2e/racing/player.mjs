// A player is one client of a script: it acts, and keeps the transcript of all
// that it receives, whatever the event.
import { isDeepStrictEqual } from 'node:util';
import { Client } from '../lib/clients.mjs';

// What Rollcall sends and the Node service does not know.
const OWN = new Set(['add_user', 'update_user', 'remove_user', 'rollcall_error']);

export class Player {
  constructor(t, url, { name, version, mode }) {
    this.name = name;
    this.client = new Client(url, { version, mode, autoConnect: false });
    this.socket = this.client.socket;
    // transcript: what Node's clients receive, as [event, ...args]. own: the rest.
    this.transcript = [];
    this.own = [];
    // page: what shows it, if anything does.
    this.page = undefined;
    // The one place that every event passes, in all versions.
    const handle = this.socket.onevent;
    this.socket.onevent = (packet) => {
      // By way of JSON, since some clients hand on what others may change.
      const [event, ...args] = JSON.parse(JSON.stringify(packet.data));
      (OWN.has(event) ? this.own : this.transcript).push([event, ...args]);
      if (!OWN.has(event)) this.page?.receive([event, ...args]);
      return handle.call(this.socket, packet);
    };
    t.after(() => this.client.close());
  }

  get connected() {
    return this.socket.connected;
  }

  // perform starts an act; where it has an end at this side, it resolves then.
  async perform(act) {
    const { socket } = this;
    switch (act.does) {
      case 'connect': {
        socket.connect();
        return this.client.settled();
      }
      case 'leave': return this.leave(act.how);
      case 'register': return socket.emit('register', act.user);
      case 'invite': return socket.emit('invite', act.data);
      case 'join': return socket.emit('join_stage', act.data);
      case 'start': return socket.emit(`start_race_${act.token}`, {});
      case 'car': return socket.emit('add_car', act.data);
      case 'watch stage': return socket.emit('watch_stage', { token: act.token });
      case 'watch race': return socket.emit('watch_race', { race_id: act.race });
      case 'speed': return socket.emit(`update_${act.race}_speed`, act.data);
      default: throw new Error(`nobody knows how to ${act.does}`);
    }
  }

  async leave(how) {
    if (how === 'disconnect') this.socket.disconnect();
    else if (how === 'close') this.client.engine.close();
    else this.client.engine.transport.ws.terminate();
    await this.client.until(() => !this.connected, 'the end of the connection');
  }

  // refused are the codes of what Rollcall refused.
  refused() {
    return this.own.filter(([event]) => event === 'rollcall_error').map(([, { error }]) => error);
  }

  until(probe, what) {
    return this.client.until(probe, `${what} (${this.name})`, { show: () => this.transcript.slice(-5) });
  }

  // hears waits for an event that is equal to the one given.
  hears(wanted, since = 0) {
    return this.until(() => this.transcript.slice(since).some((event) => isDeepStrictEqual(event, wanted)), JSON.stringify(wanted));
  }
}

// assemble: the script's clients and one that only watches, on one server or,
// in turn, on several.
export async function assemble(t, servers, cast) {
  const players = new Map(cast.map((client, n) => {
    const { url, fit = (same) => same } = servers[n % servers.length];
    return [client.name, new Player(t, url, fit(client))];
  }));
  const watcher = new Player(t, servers[0].url, { name: 'watcher', version: '2.5.0', mode: 'websocket' });
  await watcher.perform({ does: 'connect' });
  return {
    players,
    watcher,
    all: () => [watcher, ...players.values()],
    present: () => [watcher, ...players.values()].filter((player) => player.connected),
    perform: (act) => players.get(act.client).perform(act),
  };
}
