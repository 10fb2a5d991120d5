// One chat room: its members, messages and who is typing. It draws nothing. Events:
// `change` (members, typing, unread), `line` with {line, before}, where `before` is the
// line below, and `drop` with a line that is too old to be kept.

import { plain, prose } from "./person.js";

const LINES = 200; // older ones are dropped
const TYPING_FOR = 4000;
const GUEST = "Guest";
const TYPISTS = 20; // typing at the same time

const timeOf = (text) => {
  const at = Date.parse(text);
  return Number.isNaN(at) ? Date.now() : at;
};

export class Room extends EventTarget {
  name;
  username = ""; // the own name, once joined
  members = [];
  unread = 0;
  lines = []; // {id, at, who, text} messages, {note, at} joins and leaves
  unsent = []; // {content, …} that the server has not acknowledged
  sending = false; // whether the first of them is on its way

  #said = new Map(); // id → line, since the server remembers
  #last = 0; // the highest id
  #typists = new Map(); // username → timer
  #waiting = []; // notes that wait for the history, which goes above them

  constructor(name) {
    super();
    this.name = name;
  }

  get typists() {
    return [...this.#typists.keys()];
  }

  list({ users }) {
    this.members = (Array.isArray(users) ? users : []).filter((user) => typeof user === "string");
    this.#change();
  }

  came({ username, users }) {
    this.list({ users });
    this.#note(username, "came in");
  }

  went({ username, users }) {
    this.list({ users });
    this.#still(username);
    this.#note(username, "left");
  }

  types({ username }) {
    if (typeof username !== "string" || (!this.#typists.has(username) && this.#typists.size >= TYPISTS)) return;
    clearTimeout(this.#typists.get(username));
    this.#typists.set(username, setTimeout(() => this.#still(username), TYPING_FOR));
    this.#change();
  }

  // hear adds a new message. Ids rise; a lower one comes from a server that lost its
  // data.
  hear(data) {
    const line = messageOf(data);
    if (!line) return;
    if (this.#said.get(line.id)?.at === line.at) return;
    if (line.id <= this.#last) this.#forget();
    this.#put(line);
    this.unread++;
    this.#still(data.username);
  }

  get last() {
    return this.#last;
  }

  // remember adds the history, or nothing where it could not be fetched. `last` was the
  // newest message when it was requested.
  remember(history, last) {
    const lines = (Array.isArray(history) ? history : []).map(messageOf).filter(Boolean);
    if (history && this.#last === last && last > (lines.at(-1)?.id ?? 0)) this.#forget();
    for (const line of lines) {
      const known = this.#said.get(line.id);
      if (known && known.at !== line.at) this.#forget();
      if (known?.at !== line.at) this.#put(line);
    }
    this.#waiting?.forEach((note) => this.#show(note));
    this.#waiting = null;
  }

  waits(text) {
    this.unsent.push(text);
    this.#change();
  }

  sent() {
    this.unsent.shift();
    this.#change();
  }

  read() {
    if (this.unread === 0) return;
    this.unread = 0;
    this.#change();
  }

  // away removes all but the lines, after a lost connection.
  away() {
    this.username = "";
    this.members = [];
    this.#typists.forEach(clearTimeout);
    this.#typists.clear();
    this.#change();
  }

  #note(username, what) {
    const who = plain(username);
    if (!who || who === GUEST) return; // without a name: not mentioned
    const note = { note: `${who} ${what}`, at: Date.now() };
    if (!this.#waiting) this.#show(note);
    else if (this.#waiting.length < LINES) this.#waiting.push(note);
  }

  #put(line) {
    // Nearly always it is the newest.
    const above = line.id < this.#last
      ? this.lines.find((other) => this.#said.get(other.id) === other && other.id > line.id) : undefined;
    this.#said.set(line.id, line);
    this.#last = Math.max(this.#last, line.id);
    this.#show(line, above);
  }

  #show(line, before) {
    this.lines.splice(before ? this.lines.indexOf(before) : this.lines.length, 0, line);
    this.dispatchEvent(new CustomEvent("line", { detail: { line, before } }));
    if (this.lines.length <= LINES) return;
    const oldest = this.lines.shift();
    if (this.#said.get(oldest.id) === oldest) this.#said.delete(oldest.id);
    this.dispatchEvent(new CustomEvent("drop", { detail: oldest }));
  }

  #forget() {
    this.#said.clear();
    this.#last = 0;
  }

  #still(username) {
    clearTimeout(this.#typists.get(username));
    this.#typists.delete(username);
    this.#change();
  }

  #change() {
    this.dispatchEvent(new Event("change"));
  }
}

function messageOf(data) {
  const text = prose(data?.content);
  if (!Number.isSafeInteger(data?.id) || !text) return null;
  return { id: data.id, at: timeOf(data.timestamp), who: plain(data.username) || GUEST, text };
}
