// The user of this browser: one in all its tabs, and kept for the next visit. A change
// in one tab reaches the others (event `change`). With a token this tab has the token's
// user.

import { nameOf } from "./person.js";

const KEY = "rollcall.me";
const MAX_NAME = 40;

const MANNERS = ["Quiet", "Bright", "Gentle", "Swift", "Merry", "Brave", "Calm", "Clever", "Sunny", "Kind",
  "Nimble", "Proud", "Witty", "Lucky", "Patient", "Curious"];
const ANIMALS = ["Otter", "Heron", "Badger", "Lynx", "Robin", "Hare", "Falcon", "Dolphin", "Hedgehog", "Owl",
  "Beaver", "Swallow", "Marten", "Fox", "Seal", "Crane"];

const any = (words) => words[Math.floor(Math.random() * words.length)];

export const friendlyName = () => `${any(MANNERS)} ${any(ANIMALS)}`;

export class Me extends EventTarget {
  id = "";
  name = "";
  joined = false;
  hidden = false; // hidden, though joined
  fixed = false; // whether a token gives the user; then nothing is stored

  constructor() {
    super();
    this.#read();
    if (!this.id) this.#write({ id: newID() });
    if (!this.name) this.name = friendlyName();
    addEventListener("storage", (event) => {
      if (this.fixed || event.key !== KEY && event.key !== null) return;
      this.#read();
      this.dispatchEvent(new Event("change"));
    });
  }

  // become sets the name and goes online.
  become(name) {
    this.#write({ name: name.trim().slice(0, MAX_NAME), joined: true });
  }

  // adopt sets a token's user, or with null the stored one.
  adopt(user) {
    this.fixed = user !== null;
    if (user === null) this.#read();
    else Object.assign(this, { id: user.id, name: nameOf(user), joined: true, hidden: hiddenHere(user.id) });
    this.dispatchEvent(new Event("change"));
  }

  leave() {
    this.#write({ joined: false, hidden: false });
  }

  hide(hidden) {
    this.#write({ hidden });
  }

  #write(change) {
    Object.assign(this, change);
    if (this.fixed) return this.#writeHidden();
    const { id, name, joined, hidden } = this;
    try {
      localStorage.setItem(KEY, JSON.stringify({ id, name, joined, hidden }));
    } catch {} // storage may be forbidden: then the user lasts until the tab closes
    this.dispatchEvent(new Event("change"));
  }

  // A token's user stays hidden over a reload of this tab.
  #writeHidden() {
    try {
      if (this.hidden) sessionStorage.setItem(KEY, JSON.stringify(this.id));
      else sessionStorage.removeItem(KEY);
    } catch {} // as above
    this.dispatchEvent(new Event("change"));
  }

  // read reads what is stored, whichever page wrote it.
  #read() {
    try {
      const { id, name, joined, hidden } = JSON.parse(localStorage.getItem(KEY)) ?? {};
      if (typeof id === "string") this.id = id.slice(0, 64);
      if (typeof name === "string") this.name = name.slice(0, MAX_NAME);
      this.joined = joined === true;
      this.hidden = joined === true && hidden === true;
    } catch {} // as above
  }
}

function hiddenHere(id) {
  try {
    return sessionStorage.getItem(KEY) === JSON.stringify(id);
  } catch {
    return false;
  }
}

// newID works without a secure context too, unlike crypto.randomUUID.
function newID() {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
