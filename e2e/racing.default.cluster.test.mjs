// The default mode on two instances that share a Redis: pages show the same as
// with one Node service.
//
// Between instances the lists and the rest travel on two ways: what one client
// does in a row may arrive in another order, so here clients wait.
import { test } from 'node:test';
import { look } from './racing/eye.mjs';
import { scripts, settled, stage, write } from './racing/plays.mjs';
import { seeds } from './racing/seed.mjs';

const options = { 'one after the other': scripts['one after the other'], 'many at once': scripts['many at once'], 'tabs on both': scripts['three tabs a user'] };
for (const [name, option] of Object.entries(options)) {
  for (const seed of seeds([4, 5])) {
    test(`${name}, seed ${seed}`, async (t) => {
      const script = write(seed, { ...option, rows: 0 });
      const { ours } = await look(t, script, await stage(t, { instances: 2 }));
      settled(script, ours);
    });
  }
}
