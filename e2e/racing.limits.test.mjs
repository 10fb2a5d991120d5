// What stages and races refuse and how they are bounded, and the default mode's
// participants. The Node service bounds nothing.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { covering } from './lib/clients.mjs';
import { startTarget } from './lib/target.mjs';
import { Player } from './racing/player.mjs';

const UNLIMITED = { EVENTS_PER_SECOND: '0', EVENTS_BURST: '0' };
const socket = { version: '4.8.4', mode: 'websocket' };

// A stage and a race are bounded in the same way.
const kinds = [
  { what: 'stage', enter: 'join_stage', of: 'token', update: (name) => `update_stage_${name}`, full: 'stage_full', bad: 'bad_stage' },
  { what: 'race', enter: 'add_car', of: 'race_id', update: (name) => `race_${name}_update`, full: 'race_full', bad: 'bad_car' },
];

async function player(t, server, kind = socket) {
  const one = new Player(t, server.url, { name: kind.name ?? 'one', ...kind });
  await one.perform({ does: 'connect' });
  one.ask = (...args) => one.client.ask(...args);
  one.last = (event) => one.transcript.findLast(([name]) => name === event)?.[1];
  return one;
}

function refused(answer, code) {
  assert.deepEqual([answer.ok, answer.error], [false, code]);
  assert.ok(answer.message.length > 5, `no sentence for people: ${answer.message}`);
}

for (const { what, enter, of, update, full, bad } of kinds) {
  for (const COMPAT of ['default', 'strict']) {
    describe(`a ${what}, ${COMPAT}`, { concurrency: 3 }, () => {
      test('it takes 500 and refuses the next', async (t) => {
        const server = await startTarget(t, { ...UNLIMITED, COMPAT });
        const [one, two] = await Promise.all([player(t, server), player(t, server)]);
        for (let n = 1; n < 500; n++) {
          if (n % 50) one.socket.emit(enter, { [of]: 's', id: n });
          else assert.deepEqual(await one.ask(enter, { [of]: 's', id: n }), { ok: true }); // the lists of all in one queue would be too much
        }
        assert.deepEqual(await one.ask(enter, { [of]: 's', id: 500 }), { ok: true });
        refused(await one.ask(enter, { [of]: 's', id: 501 }), full);
        refused(await two.ask(enter, { [of]: 's', id: 'other' }), full);
        await one.until(() => one.last(update('s'))?.length === 500, `the full ${what}`);
        // Only this one is full, and a refused racer takes no part.
        assert.deepEqual(await two.ask(enter, { [of]: 'other', id: 1 }), { ok: true });
        if (what === 'stage') refused(await two.ask('start_race_s', {}), 'not_in_stage');
        else refused(await two.ask('update_s_speed', 1), 'not_in_race');
        assert.equal(one.last(update('s')).length, 500);
      });

      test('a socket takes part in 50, and leaves the oldest for one more', async (t) => {
        const server = await startTarget(t, { ...UNLIMITED, COMPAT });
        const [one, watcher] = await Promise.all([player(t, server), player(t, server)]);
        await watcher.ask(`watch_${what}`, { [of]: 's0' });
        for (let n = 0; n < 50; n++) assert.deepEqual(await one.ask(enter, { [of]: `s${n}`, id: 1 }), { ok: true });
        const act = (n) => (what === 'stage' ? one.ask(`start_race_s${n}`, {}) : one.ask(`update_s${n}_speed`, 1));
        const outside = what === 'stage' ? 'not_in_stage' : 'not_in_race';
        assert.notEqual((await act(0)).error, outside);
        assert.deepEqual(await one.ask(enter, { [of]: 's50', id: 1 }), { ok: true });
        refused(await act(0), outside);
        assert.notEqual((await act(1)).error, outside);
        assert.notEqual((await act(50)).error, outside);
        // A stage forgets racers that leave it; cars stay, as with Node.
        const stays = what === 'race' || COMPAT === 'strict';
        await watcher.until(() => watcher.last(update('s0'))?.length === (stays ? 1 : 0), `the ${what} without its racer`);
      });

      test('what makes no sense is refused, and Node would have ended', async (t) => {
        const server = await startTarget(t, { ...UNLIMITED, COMPAT });
        const one = await player(t, server);
        refused(await one.ask(enter), bad);
        for (const wrong of [null, 7, 'x', true, [], {}, { id: 1 }, { [of]: null, id: 1 }, { [of]: {}, id: 1 }, { [of]: '', id: 1 }, { [of]: 'x'.repeat(129), id: 1 }]) {
          refused(await one.ask(enter, wrong), bad);
        }
        refused(await one.ask(enter, { [of]: 's', id: 1, pad: 'x'.repeat(4096) }), 'too_large');
        const own = one.own.length;
        one.socket.emit(enter, {});
        await one.until(() => one.own.length > own, 'the refusal as an event');
        assert.deepEqual([one.own.at(-1)[0], one.own.at(-1)[1].event, one.own.at(-1)[1].error], ['rollcall_error', enter, bad]);
        // Names that every object in JavaScript has are names like others.
        for (const name of ['constructor', '__proto__', 'toString', 'with space', 'ü', 'x'.repeat(128)]) {
          assert.deepEqual(await one.ask(enter, { [of]: name, id: 1 }), { ok: true });
          await one.until(() => one.last(update(name))?.length === 1, `the ${what} ${name}`);
        }
        assert.deepEqual(one.transcript.filter(([event]) => event.includes('undefined')), []);
      });
    });
  }
}

describe('recipients', { concurrency: 3 }, () => {
  for (const kind of covering) {
    test(`racers and watchers, client ${kind.version} ${kind.mode}`, async (t) => {
      const server = await startTarget(t, UNLIMITED);
      const [one, two, watcher, stranger] = await Promise.all([1, 2, 3, 4].map(() => player(t, server, kind)));
      assert.deepEqual(await watcher.ask('watch_stage', { token: 's' }), { ok: true });
      assert.deepEqual(await watcher.ask('watch_race', { race_id: 7 }), { ok: true });
      await watcher.until(() => watcher.last('update_stage_s') && watcher.last('race_7_update'), 'what there is');
      assert.deepEqual([watcher.last('update_stage_s'), watcher.last('race_7_update')], [[], []]);

      const [ann, ben] = [{ token: 's', id: 1, nickname: 'Ann' }, { token: 's', id: 'b' }];
      await one.ask('join_stage', ann);
      await two.ask('join_stage', ben);
      await one.ask('add_car', { race_id: 7, id: 1 });
      await one.ask('update_7_speed', { id: 1, speed: 5 });
      for (const player of [one, watcher]) {
        await player.hears(['update_stage_s', [ann, ben]]);
        await player.hears(['race_7_update', [{ race_id: 7, id: 1 }]]);
        await player.hears(['update_7_speed', { id: 1, speed: 5 }]);
      }
      two.client.engine.close();
      for (const player of [one, watcher]) await player.until(() => player.last('update_stage_s').length === 1, 'the stage without Ben');

      // Who watches is told later, too, and takes no part.
      refused(await watcher.ask('start_race_s', {}), 'not_in_stage');
      refused(await watcher.ask('update_7_speed', 9), 'not_in_race');
      await stranger.ask('heartbeat');
      assert.deepEqual(stranger.transcript, []);
    });

    test(`an invitation is for the tabs of one user, client ${kind.version} ${kind.mode}`, async (t) => {
      const server = await startTarget(t, UNLIMITED);
      const [one, tab, tab2, stranger] = await Promise.all([1, 2, 3, 4].map(() => player(t, server, kind)));
      await tab.ask('register', { id: 7 });
      await tab2.ask('register', { id: '7' });
      await stranger.ask('register', { id: 8 });
      const invitation = { id: 7, url: '/stages/ü', nickname: 'Zoë', more: [1, { a: null }] };
      assert.deepEqual(await one.ask('invite', invitation), { ok: true });
      for (const player of [tab, tab2]) await player.hears(['invite', invitation]);
      refused(await one.ask('invite'), 'bad_invite');
      for (const wrong of [null, 'x', 7, [7], {}, { id: null }, { id: '' }, { id: {} }]) refused(await one.ask('invite', wrong), 'bad_invite');
      // Nobody is there for this one, and that is no error, as with Node.
      assert.deepEqual(await one.ask('invite', { id: 'nobody' }), { ok: true });
      // After a change of user it is the new one's.
      await tab2.ask('register', { id: 9 });
      await one.ask('invite', { ...invitation, second: true });
      await tab.hears(['invite', { ...invitation, second: true }]);
      await Promise.all([tab, tab2, stranger, one].map((player) => player.ask('heartbeat')));
      const invites = (player) => player.transcript.filter(([event]) => event === 'invite').length;
      assert.deepEqual([tab, tab2, stranger, one].map(invites), [2, 1, 0, 0]);
    });
  }
});

test('a racer that joins a stage repeatedly takes one place', async (t) => {
  const server = await startTarget(t, UNLIMITED);
  const [one, two] = await Promise.all([player(t, server), player(t, server)]);
  for (let n = 0; n < 500; n++) one.socket.emit('join_stage', { token: 's', id: 1, n });
  assert.deepEqual(await one.ask('join_stage', { token: 's', id: 1 }), { ok: true });
  assert.deepEqual(await two.ask('join_stage', { token: 's', id: 2 }), { ok: true });
  await two.hears(['update_stage_s', [{ token: 's', id: 1, n: 0 }, { token: 's', id: 2 }]]);
});

test('a racer with two tabs is in the stage once, and until the last is gone', async (t) => {
  const server = await startTarget(t, UNLIMITED);
  const [one, tab, watcher] = await Promise.all([player(t, server), player(t, server), player(t, server)]);
  await watcher.ask('watch_stage', { token: 's' });
  await one.ask('join_stage', { token: 's', id: 1, tab: 1 });
  await one.ask('join_stage', { token: 's', id: 1, tab: 'again' });
  await tab.ask('join_stage', { token: 's', id: 1, tab: 2 });
  await watcher.hears(['update_stage_s', [{ token: 's', id: 1, tab: 1 }]]);
  await one.leave('disconnect');
  await watcher.hears(['update_stage_s', [{ token: 's', id: 1, tab: 2 }]]);
  assert.ok(watcher.transcript.every(([event, racers]) => event !== 'update_stage_s' || racers.length <= 1));
  await tab.leave('close');
  await watcher.until(() => watcher.last('update_stage_s').length === 0, 'the empty stage');
});
