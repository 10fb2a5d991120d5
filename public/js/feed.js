// One connection to one server, shared by its holders, and its roster. Events:
// `change` (of the roster), `connected`, `state`, `problem`, `signedout`. Events other
// than presence go through `on` and `send`.

import { onActivity } from "./activity.js";
import { Connection } from "./connection.js";
import { Roster } from "./roster.js";
import { userOf } from "./token.js";

const LINGER = 500; // an element that is moved, or replaced by navigation, holds it again at once
const GATHER = 16; // deltas come in bursts; listeners get one event for a burst
const PATIENCE = 5000; // between two requests for a whole list
const BEAT_EVERY = 60_000; // heartbeats of an active user
const BACK_EVERY = 2000; // of an away user, who is active again at once
const LOST = { ok: false, error: "not_connected", message: "There is no connection just now." };

const feeds = new Map();

export function feedOf(server) {
  if (!feeds.has(server)) feeds.set(server, new Feed(server));
  return feeds.get(server);
}

class Feed extends EventTarget {
  roster = new Roster();
  problem = null; // {error, message, event} of the last refusal
  me = null; // the user that is registered, or will be
  hidden = false; // whether to be hidden; sent before registering
  resting = false; // away by choice: activity does not end it

  #connection;
  #holders = new Map(); // owner → its user and source of tokens, the latest last
  #topics = new Map(); // event → its listeners
  #asked = new Set(); // functions that wait for an answer
  #open = false;
  #telling; // timers
  #syncing;
  #synced = 0;
  #beaten = -Infinity;
  #stopActivity; // stops onActivity

  constructor(server) {
    super();
    this.#connection = new Connection(server, {
      listen: (socket) => this.#listen(socket),
      connected: () => this.#connected(),
      become: (state) => this.#become(state),
      refuse: (problem) => (problem ? this.#refuse(problem) : this.problem?.event === "connect" && this.#refuse(null)),
      status: () => (this.hidden ? "hidden" : ""),
    });
  }

  get state() {
    return this.#connection.state;
  }

  get transport() {
    return this.#connection.transport;
  }

  get token() {
    return this.#connection.token;
  }

  // self is the user that the others see: the registered one, or the token's.
  get self() {
    return this.me ?? (this.token ? userOf(this.token) : null);
  }

  // hold keeps the connection open for owner, and with a user registers it. The
  // source gives tokens, if the server requires them (token.js).
  hold(owner, user = null, source = null) {
    this.#holders.delete(owner);
    this.#holders.set(owner, { user, source });
    if (!this.#open) this.#start();
    this.#settle();
  }

  drop(owner) {
    this.#holders.delete(owner);
    setTimeout(() => this.#settle(), LINGER);
  }

  // on calls f for every such event of this and later connections.
  on(event, f) {
    if (!this.#topics.has(event)) {
      this.#topics.set(event, new Set());
      if (this.#socket) this.#hear(this.#socket, event);
    }
    this.#topics.get(event).add(f);
  }

  off(event, f) {
    const topic = this.#topics.get(event);
    if (!topic?.delete(f) || topic.size > 0) return;
    this.#topics.delete(event);
    this.#socket?.off(event);
  }

  // send resolves to the server's answer, {ok, …}. When the
  // connection ends, what is not answered is refused as not_connected.
  send(event, ...args) {
    if (this.state !== "live") return Promise.resolve(LOST);
    return new Promise((resolve) => {
      const answered = (answer) => {
        this.#asked.delete(answered);
        resolve(answer);
      };
      this.#asked.add(answered);
      this.#socket.emit(event, ...args, answered);
    });
  }

  get #socket() {
    return this.#connection.socket;
  }

  #start() {
    this.#open = true;
    this.#connection.start();
    this.#stopActivity = onActivity(() => this.#beat());
  }

  #close() {
    this.#open = false;
    clearTimeout(this.#syncing);
    this.#syncing = undefined;
    this.#stopActivity();
    this.roster = new Roster();
    this.me = null;
    this.problem = null;
    this.#connection.stop(); // after which nothing waits for an answer
  }

  // settle adapts the connection to its holders.
  #settle() {
    if (this.#holders.size === 0) {
      if (this.#open) this.#close();
      return;
    }
    const holders = [...this.#holders.values()];
    this.#connection.use(holders.findLast(({ source }) => source)?.source ?? null);
    const wanted = holders.findLast(({ user }) => user)?.user ?? null;
    if (JSON.stringify(wanted) === JSON.stringify(this.me)) return;
    this.me = wanted;
    this.#change();
    if (this.state === "live") this.#register();
  }

  #register() {
    const event = this.me === null ? "unregister" : "register";
    const answered = (answer) => {
      if (answer?.ok === false) this.#refuse({ ...answer, event });
      else if (this.me !== null && this.problem) this.#refuse(null);
    };
    if (this.me === null) this.#socket.emit(event, answered);
    else this.#socket.emit(event, this.me, answered);
  }

  #hear(socket, event) {
    socket.on(event, (...args) => this.#socket === socket && this.#topics.get(event)?.forEach((f) => f(...args)));
  }

  #listen(socket) {
    for (const event of this.#topics.keys()) this.#hear(socket, event);
    const on = (event, f) => socket.on(event, (...args) => this.#socket === socket && f(...args));
    on("online_users", (users, statuses) => {
      this.roster.replace(users, statuses);
      this.#change();
    });
    for (const step of ["add", "update", "remove"]) {
      on(`${step}_user`, (user, more) => {
        if (!this.roster[step](user, more)) this.#sync();
        this.#change();
      });
    }
    on("rollcall_error", (problem) => this.#refuse(problem));
    on("signed_out", () => {
      for (const holder of this.#holders.values()) holder.user = null;
      this.me = null;
      this.#connection.signedOut();
      this.dispatchEvent(new Event("signedout"));
    });
  }

  #connected() {
    this.dispatchEvent(new Event("connected"));
    this.roster.fresh = false;
    // Hidden first, so that the user is not shown even for a moment.
    if (this.hidden) this.#socket.emit("status", "hidden");
    // Registering brings the whole list; without it the list has to be requested.
    if (this.me !== null) this.#register();
    else this.#sync(0);
  }

  // sync requests a whole list, but not all the time.
  #sync(pause = this.#synced + PATIENCE - Date.now()) {
    this.#syncing ??= setTimeout(() => {
      this.#syncing = undefined;
      this.#synced = Date.now();
      this.#socket?.emit("sync");
    }, pause);
  }

  // beat sends a heartbeat of an active user, but not all the time.
  #beat() {
    if (this.resting || this.state !== "live" || !this.self) return;
    const now = performance.now();
    const away = this.roster.find(this.self)?.away;
    if (now - this.#beaten < (away ? BACK_EVERY : BEAT_EVERY)) return;
    this.#beaten = now;
    this.send("heartbeat");
  }

  #refuse(problem) {
    this.problem = problem;
    if (problem?.error === "unauthorized") { // the known list may not be seen any more
      this.roster = new Roster();
      this.#change();
    }
    this.dispatchEvent(new Event("problem"));
    if (problem?.event === "register" && !this.roster.fresh) this.#sync(0);
  }

  #become(state) {
    if (state !== "live") this.#asked.forEach((answered) => answered(LOST));
    this.dispatchEvent(new Event("state"));
  }

  #change() {
    this.#telling ??= setTimeout(() => {
      this.#telling = undefined;
      this.dispatchEvent(new Event("change"));
    }, GATHER);
  }
}
