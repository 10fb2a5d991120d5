// Without COMPAT a page of the original application shows the same as with the
// Node service, after every step, although less is sent, and to fewer: on one
// instance, and on two that share a Redis.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RULES } from './lib/coderacer.mjs';
import { comparePages } from './racing/compare-pages.mjs';
import { scripts, settled, startServers, write } from './racing/default-suite.mjs';
import { seeds } from './racing/seed.mjs';

describe('pages show the same', { concurrency: 2 }, () => {
  const play = async (t, script, options) => {
    const { ours } = await comparePages(t, script, await startServers(t, options));
    settled(script, ours);
  };
  for (const seed of seeds([1])) {
    for (const [name, options] of Object.entries(scripts)) {
      test(`${name}, seed ${seed}`, (t) => play(t, write(seed, options)));
    }
  }
  // Between instances the lists and the rest travel on two ways: what one client
  // does in a row may arrive in another order, so here clients wait.
  for (const seed of seeds([4])) {
    for (const name of ['one after the other', 'many at once', 'three tabs a user']) {
      test(`two instances, ${name}, seed ${seed}`, (t) => play(t, write(seed, { ...scripts[name], rows: 0 }), { instances: 2 }));
    }
  }
});

// A Node service that is not what the contract's default mode is to look like.
describe('negative controls', { concurrency: 2 }, () => {
  const differs = /the page of \w+/;
  // In the script of this seed there is all that it takes.
  const play = async (t, options) => comparePages(
    t, write(2, scripts['three tabs a user']), { ...await startServers(t, options), patience: 1500 });
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

  test('everybody is told everything, as by Node', async (t) => {
    const script = write(2, scripts['one after the other']);
    const { ours, theirs } = await comparePages(t, script, await startServers(t));
    settled(script, ours);
    assert.throws(() => settled(script, theirs), /has nothing to do with/);
  });
});
