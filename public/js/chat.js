// Draws the chat: a tab for each room, its members, its messages and the form to
// send one.

import { hueOf, initialsOf, plain, prose } from "./person.js";
import { el } from "./el.js";

const NAMED = 12; // members by name; the others are counted
const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

export class Chat {
  #rooms;
  #parts;
  #views = new Map(); // Room → {tab, label, unread, log}
  #current;

  // parts are the page's elements: tabs, opener, logs, unsent, members, typing,
  // say, content, problem.
  constructor(rooms, parts) {
    this.#rooms = rooms;
    this.#parts = parts;
    rooms.addEventListener("open", ({ detail }) => this.#open(detail));
    rooms.addEventListener("close", ({ detail }) => this.#close(detail));
    rooms.addEventListener("state", () => this.#draw());
    parts.opener.addEventListener("submit", (event) => this.#enter(event));
    parts.say.addEventListener("submit", (event) => this.#say(event));
    parts.content.addEventListener("input", () => {
      if (parts.content.value.trim()) rooms.typing(this.#current);
    });
    addEventListener("focus", () => this.#read());
  }

  #open(room) {
    const label = el("bdi", {}, plain(room.name) || "?");
    const unread = el("span", { class: "unread", hidden: "" });
    const choose = el("button", { type: "button", class: "quiet" }, label, unread);
    const leave = el("button", { type: "button", class: "quiet close", "aria-label": `Leave ${plain(room.name)}`, title: "Leave this room" },
      el("span", { "aria-hidden": "true" }, "×"));
    const log = el("ol", { class: "log", role: "log", tabindex: "0", "aria-label": `Messages in ${plain(room.name)}`, hidden: "" });
    const tab = el("li", {}, choose, leave);
    choose.addEventListener("click", () => this.#choose(room));
    leave.addEventListener("click", () => this.#rooms.close(room));
    this.#parts.tabs.append(tab);
    this.#parts.logs.append(log);

    // A log at its end stays there, also when a phone's keyboard takes half the height.
    // A scroll event that comes before the observer of a new height says nothing.
    let low = true;
    let height = 0;
    const look = () => {
      if (log.clientHeight === height) low = log.scrollHeight - log.scrollTop - height < 40;
    };
    log.addEventListener("scroll", look);
    new ResizeObserver(() => {
      height = log.clientHeight;
      if (low) log.scrollTop = log.scrollHeight;
    }).observe(log);

    const lines = new Map(); // line → its element
    room.addEventListener("line", ({ detail: { line, before } }) => {
      look();
      const element = draw(line, room);
      lines.set(line, element);
      log.insertBefore(element, lines.get(before) ?? null);
      if (low) log.scrollTop = log.scrollHeight;
      if (room === this.#current) this.#read();
    });
    room.addEventListener("drop", ({ detail: line }) => {
      lines.get(line).remove();
      lines.delete(line);
    });
    room.addEventListener("change", () => this.#draw());
    this.#views.set(room, { tab, choose, leave, unread, log });
    if (!this.#current) this.#choose(room);
    else this.#draw();
  }

  #close(room) {
    const { tab, log } = this.#views.get(room);
    tab.remove();
    log.remove();
    this.#views.delete(room);
    if (room === this.#current) this.#choose(this.#views.keys().next().value);
    this.#views.get(this.#current).choose.focus();
    this.#draw();
  }

  #choose(room) {
    this.#current = room;
    for (const [other, { log }] of this.#views) log.hidden = other !== room;
    this.#complain("");
    this.#read();
    this.#draw();
  }

  #read() {
    if (document.hasFocus()) this.#current?.read();
  }

  #enter(event) {
    event.preventDefault();
    const input = this.#parts.opener.elements.room;
    const room = this.#rooms.open(input.value);
    if (typeof room === "string") return this.#complain(room);
    input.value = "";
    this.#choose(room);
    this.#parts.content.focus();
  }

  async #say(event) {
    event.preventDefault();
    const { content } = this.#parts;
    const room = this.#current, text = content.value;
    if (!text.trim()) return;
    content.value = "";
    this.#rooms.said();
    const refusal = await this.#rooms.say(room, text);
    if (refusal) content.value ||= text; // it can be changed and tried again
    this.#complain(plain(refusal, 200));
  }

  #complain(text) {
    this.#parts.problem.textContent = text;
    this.#parts.problem.hidden = !text;
  }

  #draw() {
    const room = this.#current;
    for (const [other, { choose, leave, unread }] of this.#views) {
      choose.setAttribute("aria-current", String(other === room));
      leave.hidden = this.#views.size === 1;
      unread.hidden = other.unread === 0 || other === room;
      unread.textContent = unread.hidden ? "" : `${other.unread > 99 ? "99+" : other.unread} new`;
    }
    const { members, typing, content, say, unsent } = this.#parts;
    unsent.hidden = room.unsent.length === 0;
    unsent.replaceChildren(...room.unsent.map((text) => el("li", { dir: "auto" }, prose(text.content))));
    members.replaceChildren(...room.members.slice(0, NAMED).map((name) => el("li", {}, el("bdi", {}, plain(name) || "Guest"))));
    if (room.members.length > NAMED) members.append(el("li", {}, `and ${(room.members.length - NAMED).toLocaleString()} more`));
    typing.replaceChildren(...typingLine(room.typists));
    content.placeholder = room.username ? `Say something as ${plain(room.username)}` : "Waiting for the connection…";
    say.classList.toggle("offline", !room.username);
  }
}

function draw(line, room) {
  const at = new Date(line.at);
  const time = el("time", { datetime: at.toISOString(), title: at.toLocaleString() }, CLOCK.format(at));
  if (line.note) return el("li", { class: "note" }, el("bdi", {}, line.note), " ", time);
  const avatar = el("span", { class: "avatar", "aria-hidden": "true" }, initialsOf(line.who));
  avatar.style.setProperty("--hue", hueOf(line.who));
  return el("li", { class: line.who === plain(room.username) ? "said own" : "said" }, avatar,
    el("p", { class: "who" }, el("bdi", {}, line.who), " ", time), el("p", { class: "text", dir: "auto" }, line.text));
}

function typingLine(names) {
  const bold = names.slice(0, 2).map((name) => el("bdi", {}, plain(name) || "Guest"));
  if (names.length === 0) return [];
  if (names.length === 1) return [bold[0], " is typing…"];
  if (names.length === 2) return [bold[0], " and ", bold[1], " are typing…"];
  return ["Several people are typing…"];
}
