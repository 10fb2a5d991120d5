// The tests of strict Rollcall beside the Node service on one library.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { servedBy, startCodeRacer } from '../lib/coderacer.mjs';
import { startTarget } from '../lib/target.mjs';
import { TRACKS, known, startRails } from './rails.mjs';
import { refusals, writeScript } from './script.mjs';
import { seeds } from './seed.mjs';
import { compare } from './strict.mjs';

const STRICT = { COMPAT: 'strict', EVENTS_PER_SECOND: '0', EVENTS_BURST: '0' };

export async function stage(t, library, tracks = TRACKS) {
  const rails = await startRails(t, tracks);
  const [subject, reference] = await Promise.all([
    startTarget(t, { ...STRICT, RAILS_URL: rails.url }), startCodeRacer({ library, railsUrl: rails.url })]);
  t.after(() => reference.stop());
  await known(subject);
  return { subject, reference, tracks };
}

export function beside(library, usual) {
  const versions = servedBy[library];
  describe(`beside the Node service on socket.io ${library}`, { concurrency: 2 }, () => {
    for (const seed of seeds(usual)) {
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
