// The own status: active, away or hidden, by choice, and whether the user is likely at
// the page. The feed sends the heartbeats.

import { onActivity } from "./activity.js";

const PRESENT_FOR = 60_000; // after a sign
const AGREE_WITHIN = 2000; // the list has the choice a moment later

export class Status extends EventTarget {
  #feed;
  #me;
  #chosen = ""; // until the list agrees
  #agreeing;
  #rested = false; // away by choice, and listed so
  #seen = performance.now(); // the last sign; opening the page is one

  constructor(feed, me) {
    super();
    this.#feed = feed;
    this.#me = me;
    feed.addEventListener("change", () => this.#look());
    feed.addEventListener("state", () => feed.state !== "live" && this.#rest(false));
    onActivity(() => this.#alive());
  }

  get current() {
    return this.#chosen || this.#known();
  }

  // present reports whether the user is likely at the page. For the server every event is
  // activity, so the page should send nothing by itself without it.
  get present() {
    return !this.#feed.resting && this.#known() !== "away" && performance.now() - this.#seen < PRESENT_FOR;
  }

  // choose resolves to the reason of a refusal, or "".
  async choose(status) {
    this.#chosen = status;
    this.#rest(status === "away");
    // Kept at once: if the connection is lost, the next one begins hidden.
    if (status === "hidden") this.#me.hide(true);
    const answer = await this.#feed.send("status", status);
    const refused = answer?.ok === false && answer.error !== "not_connected";
    if (refused === (status === "hidden")) this.#me.hide(false);
    clearTimeout(this.#agreeing);
    this.#agreeing = setTimeout(() => this.#agree(), refused ? 0 : AGREE_WITHIN);
    this.#look();
    return refused ? answer.message || "The server refused that." : "";
  }

  #known() {
    if (this.#me.hidden) return "hidden";
    return this.#feed.roster.find({ id: this.#me.id })?.away ? "away" : "active";
  }

  #look() {
    const known = this.#known();
    if (this.#feed.resting && this.#rested && known === "active") this.#rest(false); // the user was active
    if (this.#feed.resting && known === "away") this.#rested = true;
    if (this.#chosen === known) this.#agree();
    else this.#change();
  }

  #agree() {
    this.#chosen = "";
    this.#change();
  }

  #rest(resting) {
    this.#feed.resting = resting;
    this.#rested = false;
  }

  #alive() {
    const now = performance.now();
    const returned = !this.present;
    this.#seen = now;
    if (returned && this.present) this.#change();
  }

  #change() {
    this.dispatchEvent(new Event("change"));
  }
}
