// What the comparison of pages has to find: a Node service that is not what the
// contract's default mode is to look like.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RULES } from './lib/coderacer.mjs';
import { look } from './racing/eye.mjs';
import { scripts, settled, stage, write } from './racing/plays.mjs';

describe('negative controls', { concurrency: 2 }, () => {
  const differs = /the page of \w+/;
  // In the script of this seed there is all that it takes.
  const play = async (t, options) => look(
    t, write(2, scripts['three tabs a user']), { ...await stage(t, options), patience: 1500 });
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
    const { ours, theirs } = await look(t, script, await stage(t));
    settled(script, ours);
    assert.throws(() => settled(script, theirs), /has nothing to do with/);
  });
});
