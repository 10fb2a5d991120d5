// A race between the open tabs: the racers on the stage and the positions of the cars.
// It draws nothing; event `change`.
//
// Racers join a stage. The one that starts sends the race's name to a room that every
// page is in: a room has one order for all, so of two that start at once one wins, and
// it works without tracks. Then each racer adds a car to that race and updates its
// position.

import { historyOf } from "./history.js";
import { plain } from "./person.js";

export const FINISH = 40; // steps

const STAGE = "rollcall";
export const ROOM = "rollcall: races"; // without messages of users
const COUNTDOWN = 3;
const LONGEST = 60_000; // then it is over, even if cars are still driving
const TELL_EVERY = 150;

const newID = () => Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, "0")).join("");
const known = (list) => (Array.isArray(list) ? list : []).filter((one) => typeof one?.id === "string" && one.id.length <= 64);

export class Race extends EventTarget {
  id = newID(); // of this tab: each one has a car
  phase = "idle"; // idle, ready, running, over
  count = 0; // seconds to the start
  onStage = false;
  track = ""; // the one that the server chose; "": none

  #feed;
  #server;
  #name; // this and the next are functions
  #present;
  #racers = new Map(); // id → name
  #cars = new Map(); // id → {id, name, way, ms}
  #race = ""; // the one that is shown
  #started = 0; // by performance.now(), at first in the future
  #timer;
  #telling;
  #drawn = ""; // the track of the last start
  #missed; // {message, at}: a race that began while the user was away

  constructor(feed, server, name, present) {
    super();
    this.#feed = feed;
    this.#server = server;
    this.#name = name;
    this.#present = present;
    feed.on(`update_stage_${STAGE}`, (list) => this.#gather(list));
    feed.on(`start_race_${STAGE}`, (data) => { this.#drawn = plain(data?.track_id, 20); });
    feed.on("message", (data) => data?.room === ROOM && this.#go(data.data));
    let live = false;
    feed.addEventListener("state", () => {
      if ((feed.state === "live") === live) return;
      live = feed.state === "live";
      if (live) this.#arrive();
      this.#change();
    });
  }

  get live() {
    return this.#feed.state === "live";
  }

  get driving() {
    return this.phase === "running" && this.mine !== undefined && this.mine.ms === undefined;
  }

  get mine() {
    return this.#cars.get(this.id);
  }

  get racers() {
    return [...this.#racers.values()];
  }

  // lanes are the cars of the race and the racers of the next one, in the order of the
  // stage, so that lanes do not move when the race begins.
  get lanes() {
    const racing = this.phase === "ready" || this.phase === "running";
    const lanes = new Map();
    for (const [id, name] of this.#racers) {
      const car = this.#cars.get(id);
      if (car || !racing || this.#cars.size === 0) lanes.set(id, car ?? { id, name, way: 0 });
    }
    for (const [id, car] of this.#cars) lanes.set(id, car);
    return [...lanes.values()];
  }

  get winner() {
    return [...this.#cars.values()].filter((car) => car.ms !== undefined).sort((a, b) => a.ms - b.ms)[0];
  }

  // join adds this tab to the stage. Like start it resolves to the reason of a refusal,
  // or "".
  async join() {
    const answer = await this.#feed.send("join_stage", { token: STAGE, id: this.id, name: this.#name() });
    this.onStage = answer?.ok === true;
    this.#change();
    return sentence(answer);
  }

  async start() {
    this.#drawn = "";
    const answer = await this.#feed.send(`start_race_${STAGE}`, {});
    if (!answer?.ok && answer?.error !== "no_tracks") return sentence(answer);
    const content = JSON.stringify({ race: newID(), track: answer.ok ? this.#drawn : "" });
    return sentence(await this.#feed.send("message", { room: ROOM, content }));
  }

  // leave is for a hidden user: the server has removed the racer.
  leave() {
    this.onStage = false;
    this.#cars.delete(this.id);
    this.#change();
  }

  // look shows a race that began while the user was away.
  look() {
    if (!this.#missed || !this.#present()) return;
    const { message, at } = this.#missed;
    const age = performance.now() - at;
    if (age < LONGEST) this.#go(message, age);
    this.#missed = undefined;
  }

  step() {
    if (!this.driving) return;
    const { mine } = this;
    mine.way++;
    if (mine.way >= FINISH) mine.ms = Math.round(performance.now() - this.#started);
    // The server takes some twenty events a second; the last one always goes out.
    if (mine.ms !== undefined) this.#tell();
    else this.#telling ??= setTimeout(() => this.#tell(), TELL_EVERY);
    this.#judge();
  }

  #tell() {
    clearTimeout(this.#telling);
    this.#telling = undefined;
    const { mine } = this;
    if (mine) this.#feed.send(`update_${this.#race}_speed`, { id: this.id, way: mine.way, ms: mine.ms });
  }

  async #arrive() {
    this.#feed.send("watch_stage", { token: STAGE });
    this.#feed.send("join", { room: ROOM });
    if (this.onStage) this.join();
    if (this.phase === "ready" || this.phase === "running") this.#enter();
    const history = await historyOf(this.#server, ROOM, this.#feed.token);
    const last = history?.messages.at(-1);
    const age = history?.now - Date.parse(last?.timestamp);
    if (age < LONGEST) this.#go(last, Math.max(0, age));
  }

  #gather(list) {
    this.#racers = new Map(known(list).map(({ id, name }) => [id, plain(name) || "Somebody"]));
    this.#judge();
  }

  // go begins the race of a message, `age` milliseconds ago.
  #go(message, age = 0) {
    const { race, track } = parse(message?.content);
    const busy = this.phase === "ready" || this.phase === "running";
    if (typeof race !== "string" || !/^[0-9a-f]{16}$/.test(race) || race === this.#race || busy) return;
    if (!this.#present()) {
      this.#missed = { message, at: performance.now() - age };
      return;
    }
    this.#hush();
    this.#race = race;
    this.track = plain(track, 20);
    this.#cars.clear();
    this.#feed.on(`race_${race}_update`, this.#line);
    this.#feed.on(`update_${race}_speed`, this.#move);
    this.#enter();
    this.phase = "ready";
    this.#started = performance.now() - age + COUNTDOWN * 1000;
    this.#countDown();
  }

  // enter watches the race, and takes part if this tab is on the stage.
  #enter() {
    this.#feed.send("watch_race", { race_id: this.#race });
    if (!this.onStage) return;
    this.#feed.send("add_car", { race_id: this.#race, id: this.id, name: this.#name() });
    if (this.mine?.way) this.#tell(); // reconnected
  }

  #countDown() {
    const left = this.#started - performance.now();
    this.count = Math.max(0, Math.ceil(left / 1000));
    if (this.count === 0) {
      this.phase = "running";
      this.#timer = setTimeout(() => this.#end(), left + LONGEST);
    } else {
      this.#timer = setTimeout(() => this.#countDown(), left - (this.count - 1) * 1000);
    }
    this.#change();
  }

  #line = (list) => {
    const cars = known(list);
    const before = this.#cars;
    this.#cars = new Map(cars.map(({ id, name }) => [id, { way: 0, ...before.get(id), id, name: plain(name) || "Somebody" }]));
    this.#judge();
  };

  #move = (data) => {
    const car = this.#cars.get(data?.id);
    if (!car || car.id === this.id || !Number.isFinite(data.way)) return;
    car.way = Math.min(FINISH, Math.max(0, data.way));
    if (car.way >= FINISH) car.ms ??= Number.isFinite(data.ms) ? Math.max(0, data.ms) : performance.now() - this.#started;
    this.#judge();
  };

  // judge ends the race when no car is driving any more.
  #judge() {
    const left = (car) => car.ms === undefined && this.#racers.has(car.id);
    if (this.phase === "running" && this.#cars.size > 0 && ![...this.#cars.values()].some(left)) this.#end();
    else this.#change();
  }

  #end() {
    clearTimeout(this.#timer);
    if (this.#telling !== undefined) this.#tell();
    this.phase = "over";
    this.#change();
  }

  #hush() {
    if (!this.#race) return;
    this.#feed.off(`race_${this.#race}_update`, this.#line);
    this.#feed.off(`update_${this.#race}_speed`, this.#move);
  }

  #change() {
    this.dispatchEvent(new Event("change"));
  }
}

const sentence = (answer) => (answer?.ok ? "" : plain(answer?.message, 200) || "The server refused that.");

function parse(content) {
  try {
    return JSON.parse(content) ?? {};
  } catch {
    return {}; // a message of another client
  }
}
