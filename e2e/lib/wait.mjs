// Waiting for conditions, bounded in time. Tests never sleep a fixed while.

// PATIENCE is in ms, and long: machines that build for others have slow minutes.
export const PATIENCE = 60_000;

// until resolves with the first truthy value of probe, and otherwise rejects
// with a sentence that says what was awaited and what was there instead.
export async function until(probe, what, { ms = PATIENCE, show } = {}) {
  const deadline = Date.now() + ms;
  for (let pause = 4; ; pause = Math.min(1.2 * pause, 50)) { // probes of pages cost processor time
    const value = await probe();
    if (value) return value;
    if (Date.now() > deadline) {
      const seen = show ? `; seen: ${JSON.stringify(show())}` : '';
      throw new Error(`waited ${ms} ms in vain for ${what}${seen}`);
    }
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

// within bounds a promise in time.
export function within(promise, what, ms = PATIENCE) {
  let timer;
  const bound = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${ms} ms in vain for ${what}`)), ms);
  });
  return Promise.race([promise, bound]).finally(() => clearTimeout(timer));
}
