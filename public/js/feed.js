// One connection to one server, shared by all who hold it, with the roster it
// keeps. Events: `change` (the roster did), `state`, `problem`, `signedout`.
// What is not presence goes through `on` and `send`.

import { openerFor } from "./client.js";
import { plain } from "./person.js";
import { Roster } from "./roster.js";

const LINGER = 500; // an element that is moved, or replaced by navigation, comes back at once
const GATHER = 16; // increments come in bursts; listeners hear of a burst once
const PATIENCE = 5000; // between two requests for a whole list
const COME_BACK = 5000; // after the server itself hung up or refused
const LOST = { ok: false, error: "not_connected", message: "There is no connection just now." };

const feeds = new Map();

export function feedOf(server) {
  if (!feeds.has(server)) feeds.set(server, new Feed(server));
  return feeds.get(server);
}

class Feed extends EventTarget {
  roster = new Roster();
  state = "connecting"; // connecting, live, reconnecting, refused
  transport = "";
  problem = null; // {error, message, event} of the last refusal
  me = null; // the user we registered, or want to
  hidden = false; // whether that user is to be seen by nobody; told before registering

  #server;
  #holders = new Map(); // owner → its user or null, last to ask last
  #socket;
  #topics = new Map(); // event → functions that hear it
  #asked = new Set(); // functions that wait for an answer
  #open = false;
  #turn = 0; // rises when we open or close: what began before is void
  #telling; // timers
  #syncing;
  #returning;
  #synced = 0;

  constructor(server) {
    super();
    this.#server = server;
  }

  // hold keeps the connection open for owner, and with a user registers it.
  hold(owner, user = null) {
    this.#holders.delete(owner);
    this.#holders.set(owner, user);
    if (!this.#open) this.#start();
    this.#settle();
  }

  drop(owner) {
    this.#holders.delete(owner);
    setTimeout(() => this.#settle(), LINGER);
  }

  // on calls f with every such event, whatever connection it comes by.
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

  // send resolves to the server's answer, {ok, …}. What is not answered when the
  // connection ends never will be, and is refused as not_connected.
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

  async #start() {
    this.#open = true;
    const turn = ++this.#turn;
    const open = await openerFor(this.#server);
    if (turn !== this.#turn) return;
    this.#socket = open();
    this.#listen(this.#socket);
  }

  #close() {
    this.#open = false;
    this.#turn++;
    clearTimeout(this.#returning);
    clearTimeout(this.#syncing);
    this.#syncing = undefined;
    this.#socket?.disconnect();
    this.#socket = undefined;
    this.roster = new Roster();
    this.me = null;
    this.#become("connecting"); // after which nothing waits for an answer
  }

  // settle makes the connection what the holders want of it.
  #settle() {
    if (this.#holders.size === 0) {
      if (this.#open) this.#close();
      return;
    }
    const wanted = [...this.#holders.values()].findLast((user) => user !== null) ?? null;
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
    on("connect", () => this.#connected());
    on("disconnect", (reason) => {
      this.#become("reconnecting");
      if (reason === "io server disconnect") this.#comeBack();
    });
    on("connect_error", (error) => {
      if (socket.active === false) this.#refusedBy(error);
      else if (this.state !== "refused") this.#become(this.roster.fresh ? "reconnecting" : "connecting");
    });
    // The name of a refused connection in 1.x and 2.x.
    on("error", (error) => typeof error === "string" && this.#refusedBy({ message: error }));

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
      for (const owner of this.#holders.keys()) this.#holders.set(owner, null);
      this.me = null;
      this.dispatchEvent(new Event("signedout"));
    });
  }

  #connected() {
    const engine = this.#socket.io.engine;
    this.transport = engine.transport.name;
    engine.on("upgrade", (transport) => {
      this.transport = transport.name;
      this.#become(this.state);
    });
    this.roster.fresh = false;
    // Hidden first: what comes after must not show us, not even for a moment.
    if (this.hidden) this.#socket.emit("status", "hidden");
    // Registering brings the whole list; who only watches has to ask.
    if (this.me !== null) this.#register();
    else this.#sync(0);
    this.#become("live");
  }

  // sync asks for a whole list, but not all the time.
  #sync(pause = this.#synced + PATIENCE - Date.now()) {
    this.#syncing ??= setTimeout(() => {
      this.#syncing = undefined;
      this.#synced = Date.now();
      this.#socket?.emit("sync");
    }, pause);
  }

  #refusedBy(error) {
    this.#become("refused");
    this.#refuse({ error: "refused", message: plain(error?.message, 200) || "the server refuses us", event: "connect" });
    this.#comeBack();
  }

  #comeBack() {
    clearTimeout(this.#returning);
    this.#returning = setTimeout(() => this.#socket?.connect(), COME_BACK * (0.5 + Math.random()));
  }

  #refuse(problem) {
    this.problem = problem;
    this.dispatchEvent(new Event("problem"));
    if (problem?.event === "register" && !this.roster.fresh) this.#sync(0);
  }

  #become(state) {
    this.state = state;
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
