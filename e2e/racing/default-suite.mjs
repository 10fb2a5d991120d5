// The servers and scripts of the tests of the default mode, and what must be
// true at the end of a script.
import assert from 'node:assert/strict';
import { RULES, servedBy, startCodeRacer } from '../lib/coderacer.mjs';
import { startRedis } from '../lib/redis.mjs';
import { startTarget } from '../lib/target.mjs';
import { TRACKS, known, startRails } from './rails.mjs';
import { refusals, writeScript } from './script.mjs';

const UNLIMITED = { EVENTS_PER_SECOND: '0', EVENTS_BURST: '0' };

export async function startServers(t, { rules = RULES, fault, instances = 1 } = {}) {
  const rails = await startRails(t);
  const redis = instances > 1 ? await startRedis() : undefined;
  const env = { ...UNLIMITED, RAILS_URL: rails.url, ...(redis && { REDIS_URL: redis.url }) };
  const servers = await Promise.all(Array.from({ length: instances }, (_, n) => startTarget(t, { ...env, INSTANCE: `i${n}` })));
  t.after(() => redis?.stop());
  await Promise.all(servers.map(known));
  const reference = await startCodeRacer({ railsUrl: rails.url, rules, fault });
  t.after(() => reference.stop());
  return { rails, servers, reference, tracks: TRACKS };
}

export const scripts = {
  'one after the other': { crowds: 0 },
  'many at once': { crowds: 0.5, orderly: true },
  'three tabs a user': { crowds: 0, size: 9, users: 3 },
  'with spectators': { crowds: 0, watching: true },
};

// write makes a script for pages, with clients of all versions.
export const write = (seed, options) => writeScript({ seed, versions: servedBy['4.8.4'], objects: true, ...options });

// settled: nobody was told what was not theirs, and who races without taking
// part is told so, which Node passed over in silence. Nobody else is refused.
export function settled(script, { players }) {
  for (const [name, player] of players) {
    assert.deepEqual(player.page.strays, [], `what ${name} has nothing to do with`);
    assert.deepEqual(player.refused(), refusals(script, name), `what ${name} is refused`);
  }
}
