// Without COMPAT a page of the original application shows the same as with the
// Node service, after every step, although less is sent, and to fewer.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RULES, servedBy, startCodeRacer } from './lib/coderacer.mjs';
import { startRedis } from './lib/redis.mjs';
import { startTarget } from './lib/target.mjs';
import { look } from './racing/eye.mjs';
import { TRACKS, startRails } from './racing/rails.mjs';
import { refusals, writeScript } from './racing/script.mjs';
import { seeds } from './racing/seed.mjs';

const versions = servedBy['4.8.3'];
const UNLIMITED = { EVENTS_PER_SECOND: '0', EVENTS_BURST: '0' };

async function stage(t, { rules = RULES, fault, instances = 1 } = {}) {
  const rails = await startRails(t);
  const redis = instances > 1 ? await startRedis() : undefined;
  const env = { ...UNLIMITED, RAILS_URL: rails.url, ...(redis && { REDIS_URL: redis.url }) };
  const servers = await Promise.all(Array.from({ length: instances }, (_, n) => startTarget(t, { ...env, INSTANCE: `i${n}` })));
  t.after(() => redis?.stop());
  const reference = await startCodeRacer({ railsUrl: rails.url, rules, fault });
  t.after(() => reference.stop());
  return { rails, servers, reference, tracks: TRACKS };
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

// settled: nobody was told what was not theirs, and who races without taking
// part is told so, which Node passed over in silence. Nobody else is refused.
function settled(script, company) {
  for (const [name, player] of company.players) {
    assert.deepEqual(player.page.strays, [], `what ${name} has nothing to do with`);
    assert.deepEqual(player.refused(), refusals(script, name), `what ${name} is refused`);
  }
}

// Between instances the lists and the rest travel on two ways: what one client
// does in a row may arrive in another order, so here clients wait.
describe('two instances on one Redis', { concurrency: 1 }, () => {
  const options = { 'one after the other': scripts['one after the other'], 'many at once': scripts['many at once'], 'tabs on both': scripts['three tabs a user'] };
  for (const [name, option] of Object.entries(options)) {
    for (const seed of seeds([4, 5])) {
      test(`${name}, seed ${seed}`, async (t) => {
        const script = writeScript({ seed, versions, objects: true, ...option, rows: 0 });
        settled(script, await look(t, script, await stage(t, { instances: 2 })));
      });
    }
  }
});

// What the comparison has to find: a Node service that is not what the
// contract's default mode is to look like.
describe('negative controls', { concurrency: 2 }, () => {
  const differs = /the page of \w+/;
  // In the script of this seed there is all that it takes.
  const play = async (t, options) => look(
    t, writeScript({ seed: 2, versions, objects: true, ...scripts['three tabs a user'] }), { ...await stage(t, options), patience: 1500 });
  const change = (start, how) => (event, data) => [[event, event.startsWith(start) ? how(data) : data]];

  for (const rule of RULES) {
    test(`without the rule "${rule}"`, (t) => assert.rejects(play(t, { rules: RULES.filter((one) => one !== rule) }), differs));
  }
  const faults = {
    'a user is missing': change('online_users', (users) => users.slice(1)),
    'the users are in another order': change('online_users', (users) => users.toReversed()),
    'a user is as before': change('online_users', (users) => users.map((user) => ({ ...user, revision: 0 }))),
    'a racer is missing': change('update_stage_', (racers) => racers.slice(1)),
    'a car is missing': change('race_', (cars) => cars.slice(1)),
    'an invitation says something else': change('invite', ({ url, ...data }) => ({ ...data, ...(url && { url: '/' }) })),
    'a speed is another': change('update_', (data) => (Array.isArray(data) ? data : { ...data, position: 1000 })),
    'a race starts twice': (event, data) => (event.startsWith('start_race_') ? [[event, data], [event, data]] : [[event, data]]),
  };
  for (const [name, fault] of Object.entries(faults)) {
    test(name, (t) => assert.rejects(play(t, { fault }), differs));
  }

  test('everybody is told everything', async (t) => {
    const script = writeScript({ seed: 2, versions, objects: true, crowds: 0 });
    const { rails, reference, tracks } = await stage(t);
    const node = await startCodeRacer({ railsUrl: rails.url, rules: RULES });
    t.after(() => node.stop());
    const company = await look(t, script, { servers: [node], reference, tracks });
    assert.throws(() => settled(script, company), /has nothing to do with/);
  });
});
