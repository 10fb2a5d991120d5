// The count over the last minutes, as far back as this page has been open.

const SHORTEST = 10_000;
const LONGEST = 5 * 60_000;
const APART = 250; // changes closer together are one point, so that points stay few
const WIDTH = 300;
const HEIGHT = 64;

export class Chart {
  #area;
  #line;
  #points = []; // {at, count}, oldest first
  #start = Date.now();

  constructor(svg) {
    this.#area = svg.querySelector(".area");
    this.#line = svg.querySelector(".line");
  }

  add(count, at = Date.now()) {
    const last = this.#points.at(-1);
    if (!last) this.#start = at;
    if (last && at - last.at < APART) last.count = count;
    else if (last?.count !== count) this.#points.push({ at, count });
    // One point before the window is where the line begins.
    while (this.#points.length > 1 && this.#points[1].at < at - LONGEST) this.#points.shift();
  }

  // draw draws the window that ends now and returns its numbers.
  draw(now = Date.now()) {
    if (this.#points.length === 0) return null;
    const span = Math.min(LONGEST, Math.max(SHORTEST, now - this.#start));
    const seen = this.#points.filter((point, i) => (this.#points[i + 1]?.at ?? now) >= now - span);
    const counts = seen.map((point) => point.count);
    const low = Math.min(...counts), high = Math.max(...counts);
    const top = Math.max(4, high * 1.15);
    const x = (at) => (WIDTH * Math.max(0, 1 - (now - at) / span)).toFixed(1);
    const y = (count) => (HEIGHT - 2 - (HEIGHT - 6) * (count / top)).toFixed(1);

    const first = x(seen[0].at);
    const steps = seen.map(({ at, count }) => `H${x(at)}V${y(count)}`).join("").replace(/^H[\d.]+V/, `M${first} `);
    this.#line.setAttribute("d", `${steps}H${WIDTH}`);
    this.#area.setAttribute("d", `${steps}H${WIDTH}V${HEIGHT}H${first}Z`);
    return { low, high, span };
  }
}
