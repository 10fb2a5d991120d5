// Chance that can be had again: everything random in a script comes from one
// seed, which is printed with each test's name.
//
//   RACING_SEED=7 node racing.strict.test.mjs      one seed instead of the usual
//   RACING_SEED=random ...                         a new one

export function seeds(usual) {
  const wanted = process.env.RACING_SEED;
  if (!wanted) return usual;
  if (wanted === 'random') return [Math.floor(Math.random() * 2 ** 31)];
  if (!/^\d+$/.test(wanted)) throw new Error(`RACING_SEED is a whole number or "random", not ${wanted}`);
  return [Number(wanted)];
}

// Chance draws from a seed (the generator is mulberry32).
export class Chance {
  #state;

  constructor(seed) {
    this.#state = seed >>> 0;
  }

  // next is in [0, 1).
  next() {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let n = this.#state;
    n = Math.imul(n ^ (n >>> 15), n | 1);
    n ^= n + Math.imul(n ^ (n >>> 7), n | 61);
    return ((n ^ (n >>> 14)) >>> 0) / 2 ** 32;
  }

  below(n) {
    return Math.floor(this.next() * n);
  }

  happens(probability) {
    return this.next() < probability;
  }

  of(list) {
    return list[this.below(list.length)];
  }

  shuffled(list) {
    const rest = [...list];
    const drawn = [];
    while (rest.length > 0) drawn.push(...rest.splice(this.below(rest.length), 1));
    return drawn;
  }

  // weighed draws a key of {key: weight}.
  weighed(weights) {
    const all = Object.entries(weights);
    let at = this.next() * all.reduce((sum, [, weight]) => sum + weight, 0);
    return all.find(([, weight]) => (at -= weight) < 0)?.[0] ?? all.at(-1)[0];
  }
}
