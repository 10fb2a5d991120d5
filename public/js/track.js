// Draws the race: a lane for each car, and the button that is useful now.

import { el } from "./el.js";
import { hueOf } from "./person.js";
import { FINISH } from "./race.js";

const LANES = 8; // the others are counted
const SVG = "http://www.w3.org/2000/svg";

export class Track {
  #race;
  #parts;
  #lanes = new Map(); // id → its elements
  #phase = "";
  #driving = false;

  // parts are the page's elements: lanes, more, line, note, join, start, drive,
  // problem. hidden reports whether the user is hidden.
  constructor(race, parts, hidden) {
    this.#race = race;
    this.#parts = parts;
    const ask = (button, f) => button.addEventListener("click", async () => {
      button.disabled = true;
      this.#complain(await f());
      button.disabled = false;
      this.draw();
    });
    ask(parts.join, async () => {
      const problem = await race.join();
      if (!problem) parts.start.focus();
      return problem;
    });
    ask(parts.start, () => race.start());
    parts.drive.addEventListener("click", () => race.step());
    parts.drive.addEventListener("keydown", (event) => this.#key(event));
    // Firefox sends the click of the space bar on release.
    parts.drive.addEventListener("keyup", (event) => event.key === " " && event.preventDefault());
    race.addEventListener("change", () => this.draw());
    this.hidden = hidden;
  }

  // key drives with any key that has no other meaning, once for each press.
  #key(event) {
    const other = event.ctrlKey || event.altKey || event.metaKey || ["Tab", "Escape", "Shift"].includes(event.key);
    if (other) return;
    event.preventDefault();
    if (!event.repeat) this.#race.step();
  }

  draw() {
    const race = this.#race, parts = this.#parts;
    const racing = race.phase === "ready" || race.phase === "running";
    const takingPart = racing && race.onStage && race.mine?.ms === undefined;
    // The focused button may be about to disappear.
    const near = parts.line.parentElement.contains(document.activeElement) || document.activeElement === document.body;
    parts.join.hidden = race.onStage;
    parts.join.disabled = !race.live || this.hidden();
    parts.start.hidden = !race.onStage || racing;
    parts.start.disabled = !race.live;
    parts.drive.hidden = !takingPart;
    parts.drive.textContent = race.phase === "ready" ? `${race.count}…` : "Drive! Tap here, or press any key";
    if (race.phase !== this.#phase && near) {
      if (race.phase === "ready" && takingPart) parts.drive.focus({ preventScroll: true });
    }
    // Not to the start button: further key presses would start the next race.
    if (near && this.#driving && !takingPart) parts.line.focus({ preventScroll: true });
    this.#driving = takingPart;
    if (race.phase !== this.#phase) this.#complain("");
    this.#phase = race.phase;

    const line = this.#line();
    if (parts.line.textContent !== line) parts.line.textContent = line;
    parts.note.textContent = race.phase === "idle" ? "" : race.track ? `Track ${race.track}` : "No tracks are known here, so the road is straight.";
    this.#drawLanes();
  }

  #line() {
    const race = this.#race;
    const waiting = race.racers.length;
    if (!race.live) return "Waiting for the connection…";
    if (this.hidden()) return "Who is hidden cannot race.";
    if (race.phase === "ready") return "Ready…";
    if (race.phase === "running") return race.mine?.ms === undefined ? "Go!" : "You are there. The others are on their way.";
    const { winner } = race;
    if (race.phase === "over") return winner ? `${winner.name} won in ${seconds(winner.ms)}.` : "Nobody arrived.";
    if (waiting === 0) return "Nobody is on the start line yet.";
    if (waiting > 1) return `${waiting} cars are on the start line.`;
    return race.onStage ? "You are on the start line. Open a second tab, or start alone." : `${race.racers[0]} is on the start line.`;
  }

  #drawLanes() {
    const { lanes, id: own } = this.#race;
    // The own car is always shown.
    const shown = lanes.slice(0, LANES);
    const mine = lanes.find((car) => car.id === own);
    if (mine && !shown.includes(mine)) shown[LANES - 1] = mine;
    const ids = new Set(shown.map((car) => car.id));
    for (const [id, { li }] of this.#lanes) {
      if (ids.has(id)) continue;
      li.remove();
      this.#lanes.delete(id);
    }
    for (const [i, car] of shown.entries()) {
      const lane = this.#lanes.get(car.id) ?? this.#make(car.id);
      const place = this.#parts.lanes.children[i] ?? null;
      if (place !== lane.li) this.#parts.lanes.insertBefore(lane.li, place);
      const way = car.way / FINISH;
      if (lane.name.textContent !== car.name) lane.name.textContent = car.name;
      lane.road.setAttribute("aria-label", `${car.name}'s way`);
      lane.road.setAttribute("aria-valuenow", String(Math.round(way * 100)));
      lane.road.style.setProperty("--way", way);
      lane.time.textContent = car.ms === undefined ? "" : seconds(car.ms);
      lane.li.classList.toggle("own", car.id === own);
      lane.li.classList.toggle("there", car.ms !== undefined);
    }
    const hidden = lanes.length - shown.length;
    this.#parts.more.textContent = hidden > 0 ? `and ${hidden.toLocaleString()} more` : "";
  }

  #make(id) {
    const car = document.createElementNS(SVG, "svg");
    const use = car.appendChild(document.createElementNS(SVG, "use"));
    car.setAttribute("class", "car");
    car.setAttribute("aria-hidden", "true");
    use.setAttribute("href", "#car");
    const lane = {
      name: el("bdi", { class: "driver" }),
      road: el("span", { class: "road", role: "progressbar", "aria-valuemin": "0", "aria-valuemax": "100" }, car),
      time: el("span", { class: "time" }),
    };
    lane.road.style.setProperty("--hue", hueOf(id));
    lane.li = el("li", {}, lane.name, lane.road, lane.time);
    this.#lanes.set(id, lane);
    return lane;
  }

  #complain(text) {
    this.#parts.problem.textContent = text;
    this.#parts.problem.hidden = !text;
  }
}

const seconds = (ms) => `${(ms / 1000).toLocaleString(undefined, { minimumFractionDigits: 1, maximumFractionDigits: 1 })} s`;
