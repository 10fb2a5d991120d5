// Chance that can be repeated.

// seeded is a generator of whole numbers below n, the same for each seed.
export function seeded(seed) {
  let state = seed >>> 0;
  return (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
}
