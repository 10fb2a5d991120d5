// COMPAT=strict is the Node service, transcript for transcript: the same
// scripts of clients on both, on each library that the service may have had.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { servedBy, startCodeRacer } from './lib/coderacer.mjs';
import { startTarget } from './lib/target.mjs';
import { TRACKS, startRails } from './racing/rails.mjs';
import { refusals, writeScript } from './racing/script.mjs';
import { seeds } from './racing/seed.mjs';
import { compare } from './racing/strict.mjs';

const STRICT = { COMPAT: 'strict', EVENTS_PER_SECOND: '0', EVENTS_BURST: '0' };

async function stage(t, library) {
  const rails = await startRails(t);
  const [subject, reference] = await Promise.all([
    startTarget(t, { ...STRICT, RAILS_URL: rails.url }), startCodeRacer({ library, railsUrl: rails.url })]);
  t.after(() => reference.stop());
  return { subject, reference, tracks: TRACKS };
}

for (const [library, versions] of Object.entries(servedBy)) {
  describe(`beside the Node service on socket.io ${library}`, { concurrency: 2 }, () => {
    for (const seed of seeds(library === '4.8.3' ? [1, 2, 3, 4, 5, 6] : [1, 2, 3])) {
      test(`seed ${seed}`, async (t) => {
        const script = writeScript({ seed, versions, steps: 50 });
        const { ours } = await compare(t, script, await stage(t, library));
        // Who races without taking part is told so, which Node passed over in
        // silence; nobody else is refused.
        for (const [name, player] of ours.players) assert.deepEqual(player.refused(), refusals(script, name), name);
      });
    }
    test('many at once, seed 7', async (t) => {
      const script = writeScript({ seed: 7, versions, size: 16, users: 8, steps: 30, crowds: 0.9 });
      await compare(t, script, await stage(t, library));
    });
  });
}
