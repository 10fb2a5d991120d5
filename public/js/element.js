// <rollcall-online> lists the online users in any page. Attributes: `user` (JSON;
// registers it), `token-url` and `token` (for a server with an AUTH_SECRET),
// `limit` (rows, 50), `server` (another Rollcall's URL). Away users are
// marked; hidden ones are not in the list. Fires `rollcall:change` with the detail
// {users, count, away}, where `away` has the away users.

import { feedOf } from "./feed.js";
import { List } from "./list.js";
import { nameOf } from "./person.js";
import { keyOf } from "./roster.js";
import { dress } from "./style.js";

const LIMIT = 50;
const MANY = 12; // from here on there is a filter
const TICK = 10_000;

const MARKUP = ["section", { "aria-label": "Who is online", part: "list" },
  ["p", { class: "head", part: "head" }, ["span", { class: "dot", "aria-hidden": "true" }], ["span", { class: "count" }]],
  ["input", { type: "search", placeholder: "Find somebody", "aria-label": "Find somebody", part: "filter",
    autocomplete: "off", spellcheck: "false", maxlength: "60", hidden: "" }],
  ["ul", { role: "list" }],
  ["p", { class: "note", hidden: "" }],
  ["p", { class: "problem", role: "alert", hidden: "" }]];

function build([tag, attributes, ...children]) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children.map(build));
  return element;
}

export function define(home) {
  if (customElements.get("rollcall-online")) return; // Turbo runs scripts again

  customElements.define("rollcall-online", class extends HTMLElement {
    static observedAttributes = ["user", "token", "token-url", "limit", "server"];
    #feed;
    #list;
    #parts = {};
    #fault = ""; // the fault of an attribute
    #ticking;
    #onChange = () => this.#changed();
    #onState = () => this.#draw();

    constructor() {
      super();
      const root = this.attachShadow({ mode: "open" });
      dress(root);
      const section = root.appendChild(build(MARKUP));
      for (const name of ["section", "input", "ul", ".count", ".note", ".problem"]) {
        this.#parts[name.replace(".", "")] = root.querySelector(name);
      }
      this.#list = new List(this.#parts.ul);
      this.#parts.input.addEventListener("input", () => this.#draw());
      section.addEventListener("keydown", (event) => event.key === "Escape" && this.#clear());
    }

    get users() {
      return this.#feed?.roster.users() ?? [];
    }

    connectedCallback() {
      this.#attach();
      this.#ticking = setInterval(() => this.#list.tick(), TICK);
    }

    disconnectedCallback() {
      clearInterval(this.#ticking);
      this.#detach();
    }

    attributeChangedCallback(name) {
      if (!this.#feed) return;
      if (name === "server") this.#detach();
      if (name === "limit") this.#draw();
      else this.#attach();
    }

    #attach() {
      const feed = this.#feed = feedOf(serverURL(this.getAttribute("server"), home));
      feed.addEventListener("change", this.#onChange);
      for (const event of ["state", "problem"]) feed.addEventListener(event, this.#onState);
      feed.hold(this, this.#user(), this.#source());
      this.#draw();
    }

    #detach() {
      this.#feed.removeEventListener("change", this.#onChange);
      for (const event of ["state", "problem"]) this.#feed.removeEventListener(event, this.#onState);
      this.#feed.drop(this);
      this.#feed = undefined;
    }

    #user() {
      this.#fault = "";
      const text = this.getAttribute("user");
      if (!text) return null;
      try {
        const user = JSON.parse(text);
        if (user !== null && typeof user === "object" && !Array.isArray(user)) return user;
      } catch {} // reported below
      this.#fault = "The user attribute is not a JSON object.";
      return null;
    }

    // source is the source of tokens, null if there is none.
    #source() {
      const token = this.getAttribute("token")?.trim() || undefined, at = this.getAttribute("token-url");
      if (!token && !at) return null;
      try {
        return { token, url: at ? new URL(at, document.baseURI).href : undefined };
      } catch {
        this.#fault = "The token-url attribute is not an address.";
        return token ? { token } : null;
      }
    }

    #clear() {
      this.#parts.input.value = "";
      this.#draw();
    }

    #changed() {
      this.#draw();
      if (!this.#feed.roster.fresh) return;
      const users = this.users, away = this.#feed.roster.away();
      this.dispatchEvent(new CustomEvent("rollcall:change", {
        bubbles: true, composed: true, detail: { users, count: users.length, away },
      }));
    }

    #draw() {
      if (!this.#feed) return;
      const { roster, state, self, problem } = this.#feed;
      const { section, input, note, count, problem: alert } = this.#parts;
      const limit = Math.max(1, parseInt(this.getAttribute("limit"), 10) || LIMIT);
      const mine = self && keyOf(self);

      input.hidden = roster.size <= MANY && !input.value;
      const words = input.hidden ? "" : input.value.trim().toLocaleLowerCase();
      const { shown, found } = pick(roster, mine, limit, words);
      this.#list.draw(shown, mine);

      section.className = `${state} ${roster.size && state !== "live" ? "stale" : ""}`;
      count.textContent = roster.fresh || roster.size ? `${roster.size.toLocaleString()} online` : HEAD[state];
      note.textContent = noteFor(roster, found, found - shown.length);
      note.hidden = !note.textContent;
      const fault = this.#fault || (this.hasAttribute("user") || state === "refused" ? problem?.message : "");
      if (alert.textContent !== (fault ?? "")) alert.textContent = fault ?? "";
      alert.hidden = !fault;
    }
  });
}

const HEAD = { connecting: "Connecting…", live: "Connecting…", reconnecting: "Reconnecting…", refused: "Not connected" };

// pick chooses the rows: the own user first, then the others in order of joining.
function pick(roster, mine, limit, words) {
  const shown = [];
  const own = [];
  let found = 0;
  for (const entry of roster.entries()) {
    if (words && !nameOf(entry.user).toLocaleLowerCase().includes(words)) continue;
    found++;
    if (entry.key === mine) own.push(entry);
    else if (shown.length < limit) shown.push(entry);
  }
  return { shown: [...own, ...shown].slice(0, limit), found };
}

function noteFor(roster, found, hidden) {
  if (hidden > 0) return `and ${hidden.toLocaleString()} more`;
  if (roster.size === 0) return roster.fresh ? "Nobody is online yet." : "";
  return found === 0 ? "Nobody goes by that name." : "";
}

// serverURL is a server's root with the slash at its end.
function serverURL(attribute, home) {
  if (!attribute) return home;
  try {
    const url = new URL(attribute.replace(/\/*$/, "/"), document.baseURI);
    if (/^https?:$/.test(url.protocol)) return url.href;
  } catch {} // as without one
  return home;
}
