// The chat rooms of this browser, kept for the next visit, and their events on the
// feed's connection. Events: `open` and `close` with a Room as detail; `state` when one
// is joined or left.

import { historyOf } from "./history.js";
import { ROOM as RACES } from "./race.js";
import { Room } from "./room.js";

const KEY = "rollcall.rooms";
const FIRST = "lobby";
const MOST = 8; // tabs that fit a row or two; the server allows more
const MAX_NAME = 128; // bytes
const TYPING_EVERY = 2000;
const MOST_UNSENT = 100; // texts that wait in a room
const AGAIN = 2000; // after a text was refused for now
const LATER = new Set(["not_connected", "not_in_room", "unavailable", "rate_limited", "internal"]);

const newNonce = () => `${Date.now()} ${Math.random()}`;

export class Rooms extends EventTarget {
  #feed;
  #server;
  #rooms = new Map(); // name → Room
  #name = ""; // the own name; "": a guest
  #typed = -Infinity;

  constructor(feed, server) {
    super();
    this.#feed = feed;
    this.#server = server;
    const to = (f) => (data) => {
      const room = this.#rooms.get(data?.room);
      if (room) f(room, data);
    };
    feed.on("user_list", to((room, data) => room.list(data)));
    feed.on("user_joined", to((room, data) => room.came(data)));
    feed.on("user_left", to((room, data) => room.went(data)));
    feed.on("typing", to((room, data) => room.types(data)));
    feed.on("message", to((room, { data }) => room.hear(data)));
    let live = false;
    feed.addEventListener("state", () => {
      if ((feed.state === "live") === live) return;
      live = feed.state === "live";
      for (const room of this.#rooms.values()) live ? this.#enter(room) : room.away();
      this.dispatchEvent(new Event("state"));
    });
  }

  // start opens the rooms of the last visit.
  start(name) {
    this.#name = name;
    for (const room of stored()) this.open(room);
  }

  // call sets the own name in all rooms.
  call(name) {
    if (name === this.#name) return;
    this.#name = name;
    for (const room of this.#rooms.values()) this.#join(room);
  }

  // open joins a room and returns it, or the reason of a refusal.
  open(name) {
    name = name.trim();
    const known = this.#rooms.get(name);
    if (known) return known;
    const bytes = new TextEncoder().encode(name).length;
    if (bytes === 0 || bytes > MAX_NAME) return "A room's name has 1 to 128 bytes.";
    if (name === RACES) return "That room is for the races.";
    if (this.#rooms.size >= MOST) return `Leave a room first: ${MOST} are enough at once.`;
    const room = new Room(name);
    this.#rooms.set(name, room);
    this.#store();
    this.dispatchEvent(new CustomEvent("open", { detail: room }));
    if (this.#feed.state === "live") this.#enter(room);
    return room;
  }

  close(room) {
    this.#rooms.delete(room.name);
    this.#store();
    room.away();
    this.#feed.send("leave", { room: room.name });
    this.dispatchEvent(new CustomEvent("close", { detail: room }));
  }

  // say keeps a text until the server has acknowledged it, over reconnects too.
  // It resolves to the reason of a refusal, or "".
  say(room, content) {
    if (room.unsent.length >= MOST_UNSENT) return Promise.resolve("Too much is waiting to be sent already.");
    return new Promise((settled) => {
      room.waits({ content, nonce: newNonce(), settled });
      this.#flush(room);
    });
  }

  // flush sends what waits, one text at a time, so that they stay in order. The
  // server keeps a text once, however often it gets the same nonce.
  async #flush(room) {
    if (room.sending || !room.username || room.unsent.length === 0) return;
    const { content, nonce, settled } = room.unsent[0];
    room.sending = true;
    const answer = await this.#feed.send("message", { room: room.name, content, nonce });
    room.sending = false;
    if (LATER.has(answer?.error)) {
      if (room.username) setTimeout(() => this.#flush(room), AGAIN); // else when it is joined again
      return;
    }
    room.sent();
    settled(answer?.ok ? "" : answer?.message || "That could not be said.");
    this.#flush(room);
  }

  typing(room) {
    const now = performance.now();
    if (!room.username || now - this.#typed < TYPING_EVERY) return;
    this.#typed = now;
    this.#feed.send("typing", { room: room.name });
  }

  said() {
    this.#typed = -Infinity; // further typing is announced again
  }

  async #enter(room) {
    this.#join(room);
    const { last } = room;
    room.remember((await historyOf(this.#server, room.name, this.#feed.token))?.messages, last);
  }

  async #join(room) {
    const answer = await this.#feed.send("join", { room: room.name, username: this.#name });
    if (this.#rooms.get(room.name) !== room) return;
    room.username = answer?.ok ? answer.username : "";
    this.#flush(room);
    this.dispatchEvent(new Event("state"));
  }

  #store() {
    try {
      localStorage.setItem(KEY, JSON.stringify([...this.#rooms.keys()]));
    } catch {} // storage may be forbidden: then the next visit begins in the first room
  }
}

function stored() {
  try {
    const names = JSON.parse(localStorage.getItem(KEY)).filter((name) => typeof name === "string" && name);
    if (names.length > 0) return names.slice(0, MOST);
  } catch {} // nothing stored, or nothing valid
  return [FIRST];
}
