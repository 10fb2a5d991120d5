// The form to paste a token into where the server requires one. Events: `token` when
// the token changes, `change` when the form appears or disappears.

import { userOf } from "./token.js";

const KEY = "rollcall.token";

export class Entry extends EventTarget {
  needed = false; // whether the server requires one
  user = null; // the user that the token names

  #parts;
  #token = "";

  // parts are the page's elements: form, token, forget.
  constructor(feed, parts) {
    super();
    this.#parts = parts;
    this.#take(stored());
    feed.addEventListener("problem", () => this.#refused(feed));
    feed.addEventListener("connected", () => this.#need(false));
    parts.token.addEventListener("input", () => parts.token.setCustomValidity(""));
    parts.form.addEventListener("submit", (event) => this.#enter(event));
    parts.forget.addEventListener("click", () => this.use(""));
  }

  // source is the feed's source of tokens, null without a token.
  get source() {
    return this.#token ? { token: this.#token } : null;
  }

  // use sets the token; "" is none.
  use(token) {
    this.#take(token);
    try {
      if (this.#token) sessionStorage.setItem(KEY, this.#token);
      else sessionStorage.removeItem(KEY);
    } catch {} // storage may be forbidden: then a reload asks again
    this.#need(false); // until it is refused
    this.dispatchEvent(new Event("token"));
  }

  #take(token) {
    this.user = token ? userOf(token) : null;
    this.#token = this.user ? token : "";
  }

  #enter(event) {
    event.preventDefault();
    const { token } = this.#parts;
    const text = token.value.trim();
    if (!userOf(text)) {
      token.setCustomValidity("That is not a token: a JWT or a message of Rails' MessageVerifier, which names a user.");
      return token.reportValidity();
    }
    token.value = "";
    this.use(text);
  }

  // refused notes that the server requires a token: to connect, or for a guest to be
  // listed.
  #refused({ problem }) {
    const { event, error } = problem ?? {};
    if (error === "unauthorized" || (event === "register" && error === "forbidden" && !this.#token)) this.#need(true);
  }

  #need(needed) {
    this.#parts.forget.hidden = !this.#token;
    if (needed === this.needed) return;
    this.needed = needed;
    this.#parts.form.hidden = !needed;
    this.dispatchEvent(new Event("change"));
  }
}

function stored() {
  try {
    return sessionStorage.getItem(KEY) ?? "";
  } catch {
    return "";
  }
}
