// A detector of leaks: a hidden user is named nowhere.
//
// Everything that anybody is told is recorded under a channel ("both at a", "GET
// online_users at b") and a topic of it (presence, one room). A channel may name
// somebody who has gone into hiding until it has said so itself, which has to
// happen within BOUND; from then on, and where it never named them, not once.
// A strict channel, what the user's own instance answers, may not name them from
// the moment at which hiding was acknowledged.
import assert from 'node:assert/strict';
import { until } from './wait.mjs';

export const BOUND = 30_000; // on other instances, and a machine that is busy

export class LeakDetector {
  #users = new Map(); // id -> {id, hidden, at, presence: Map(channel topic -> boolean)}
  leaks = [];
  records = 0;

  // add is somebody whose id, a text found nowhere else, is in all they are called.
  add(id) {
    this.#users.set(id, { id, hidden: false, shown: false, at: 0, presence: new Map() });
  }

  // hide is called at the acknowledgement, show before showing is asked for.
  // instance is where hiding was asked for.
  hide(id, instance) {
    Object.assign(this.#users.get(id), { hidden: true, at: Date.now(), instance });
  }

  show(id) {
    Object.assign(this.#users.get(id), { hidden: false, shown: true });
  }

  // record takes what was told. whole: it stands for everything of the topic.
  // gone: whether it says of somebody named that nothing is left of them. asked:
  // when it was asked for. strict: the instance it is strict for. newcomer: the
  // instance of a channel that is new, and so cannot have named anybody yet.
  record(channel, topic, value, { whole = false, gone = () => false, asked, strict, newcomer, came } = {}) {
    this.records++;
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    const now = Date.now();
    for (const user of this.#users.values()) {
      const key = `${channel}: ${topic}`;
      const named = text.includes(user.id);
      const lenient = newcomer !== undefined && user.shown && (newcomer !== user.instance || came <= user.at); // a list may be on its way
      const expected = user.presence.get(key) ?? lenient;
      const late = now > user.at + BOUND || strict === user.instance;
      if (!named) {
        if (whole) user.presence.set(key, false);
        continue;
      }
      if (!user.hidden) user.presence.set(key, !gone(user.id));
      else if (asked !== undefined && asked <= user.at) continue; // perhaps an answer from before
      else if (!expected || late) {
        this.leaks.push({ key, user: user.id, after: now - user.at, text: text.slice(0, 300) });
      } else if (gone(user.id)) user.presence.set(key, false);
    }
  }

  // end is told of a channel that is closed, and so says nothing more.
  end(channel) {
    for (const { presence } of this.#users.values()) {
      for (const key of presence.keys()) if (key.startsWith(`${channel}: `)) presence.delete(key);
    }
  }

  // places are the channels and topics that name somebody now.
  places(id) {
    return [...this.#users.get(id).presence].filter(([, named]) => named).map(([key]) => key).sort();
  }

  // unseen waits until nothing names somebody any more.
  unseen(id) {
    return until(() => this.places(id).length === 0, `${id} to be named nowhere`,
      { ms: BOUND, show: () => ({ places: this.places(id), leaks: this.leaks.slice(0, 3) }) });
  }

  // seen waits until everything on the list names somebody.
  seen(id, keys) {
    const missing = () => keys.filter((key) => !this.places(id).includes(key));
    return until(() => missing().length === 0, `${id} to be named everywhere`, { show: missing });
  }

  assertNone() {
    assert.deepEqual(this.leaks.slice(0, 10), [], `${this.leaks.length} leaks in ${this.records} records`);
  }
}

// listen records every event that a client gets, whatever its name.
export function listen(detector, channel, client, { newcomer } = {}) {
  const { socket } = client;
  const came = Date.now();
  const record = (topic, args, options) => detector.record(channel, topic, args, { newcomer, came, ...options });
  const onevent = socket.onevent;
  socket.onevent = function hear(packet) {
    const [event, ...args] = packet.data;
    if (event === 'user_left') {
      const users = JSON.stringify(args[0].users);
      record(`room ${args[0].room}`, args, { whole: true, gone: (id) => !users.includes(id) });
    } else if (event === 'user_list' || event === 'user_joined') {
      record(`room ${args[0].room}`, args, { whole: true });
    } else if (event === 'online_users' || event === 'updateOnlineUsers') {
      record('presence', args, { whole: true });
    } else if (event === 'remove_user') {
      record('presence', args, { gone: () => true });
    } else if (event === 'add_user' || event === 'update_user') {
      record('presence', args);
    } else {
      // Stages and races: the array is all there is.
      record(event, args, { whole: /^(update_stage_|race_)/.test(event) });
    }
    return onevent.call(this, packet);
  };
}
