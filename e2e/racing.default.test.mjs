// Without COMPAT a page of the original application shows the same as with the
// Node service, after every step, although less is sent, and to fewer.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RULES, servedBy, startCodeRacer } from './lib/coderacer.mjs';
import { startRedis } from './lib/redis.mjs';
import { startServer } from './lib/server.mjs';
import { startTarget } from './lib/target.mjs';
import { look } from './racing/eye.mjs';
import { TRACKS, startRails } from './racing/rails.mjs';
import { writeScript } from './racing/script.mjs';
import { seeds } from './racing/seed.mjs';

const versions = servedBy['4.8.3'];
const UNLIMITED = { EVENTS_PER_SECOND: '0', EVENTS_BURST: '0' };

async function stage(t, { rules = RULES, fault } = {}) {
  const rails = await startRails(t);
  const [rollcall, reference] = await Promise.all([
    startTarget(t, { ...UNLIMITED, RAILS_URL: rails.url }), startCodeRacer({ railsUrl: rails.url, rules, fault })]);
  t.after(() => reference.stop());
  return { servers: [rollcall], reference, tracks: TRACKS };
}

const scripts = {
  'one after the other': { crowds: 0 },
  'many at once': { crowds: 0.5, orderly: true },
  'three tabs a user': { crowds: 0, size: 9, users: 3 },
  'with spectators': { crowds: 0, watching: true },
};

for (const [name, options] of Object.entries(scripts)) {
  describe(name, { concurrency: 2 }, () => {
    for (const seed of seeds([1, 2, 3])) {
      test(`seed ${seed}`, async (t) => {
        const script = writeScript({ seed, versions, objects: true, ...options });
        settled(script, await look(t, script, await stage(t)));
      });
    }
  });
}

// settled: nobody was told what was not theirs, and the only refusals are of
// those who race without taking part.
function settled(script, company) {
  for (const [name, player] of company.players) {
    assert.deepEqual(player.page.strays, [], `what ${name} has nothing to do with`);
  }
}
