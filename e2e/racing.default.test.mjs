// Without COMPAT a page of the original application shows the same as with the
// Node service, after every step, although less is sent, and to fewer.
import { describe, test } from 'node:test';
import { look } from './racing/eye.mjs';
import { scripts, settled, stage, write } from './racing/plays.mjs';
import { seeds } from './racing/seed.mjs';

for (const [name, options] of Object.entries(scripts)) {
  describe(name, { concurrency: 2 }, () => {
    for (const seed of seeds([1, 2])) {
      test(`seed ${seed}`, async (t) => {
        const script = write(seed, options);
        const { ours } = await look(t, script, await stage(t));
        settled(script, ours);
      });
    }
  });
}
