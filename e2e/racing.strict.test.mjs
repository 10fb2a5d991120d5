// COMPAT=strict is the Node service, transcript for transcript: the same scripts
// of clients on both, with socket.io 4.8 and all clients, and with 1.7, as
// it was in its time, with the clients that it serves.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { servedBy, startCodeRacer } from './lib/coderacer.mjs';
import { startTarget } from './lib/target.mjs';
import { compareTranscripts } from './racing/compare-transcripts.mjs';
import { Player } from './racing/player.mjs';
import { TRACKS, known, startRails } from './racing/rails.mjs';
import { refusals, writeScript } from './racing/script.mjs';
import { seeds } from './racing/seed.mjs';

const STRICT = { COMPAT: 'strict', EVENTS_PER_SECOND: '0', EVENTS_BURST: '0' };

async function startServers(t, library, tracks = TRACKS) {
  const rails = await startRails(t, tracks);
  const [subject, reference] = await Promise.all([
    startTarget(t, { ...STRICT, RAILS_URL: rails.url }), startCodeRacer({ library, railsUrl: rails.url })]);
  t.after(() => reference.stop());
  await known(subject);
  return { subject, reference, tracks };
}

for (const [library, usual] of [['4.8.4', [1, 2]], ['1.7.4', [1]]]) {
  const versions = servedBy[library];
  describe(`compared with the Node service on socket.io ${library}`, { concurrency: 2 }, () => {
    for (const seed of seeds(usual)) {
      test(`seed ${seed}`, async (t) => {
        const script = writeScript({ seed, versions, steps: 50 });
        const { ours } = await compareTranscripts(t, script, await startServers(t, library));
        // A client that races without taking part is told so, which Node passed over in
        // silence; nobody else is refused.
        for (const [name, player] of ours.players) assert.deepEqual(player.refused(), refusals(script, name), name);
      });
    }
    test('many at once, seed 7', async (t) => {
      const script = writeScript({ seed: 7, versions, size: 16, users: 8, steps: 30, crowds: 0.9 });
      await compareTranscripts(t, script, await startServers(t, library));
    });
  });
}

// By hand: [client, event, ...arguments], one after the other.
const odd = {
  'arguments that are not there, or too many': [
    [0, 'invite'], [0, 'invite', null], [0, 'invite', 'somebody'], [0, 'invite', { id: 1 }, 'and', 'more'], [0, 'invite', [{ id: 1 }]],
    [0, 'add_car', { race_id: 1 }], [0, 'update_1_speed'], [0, 'update_1_speed', 5, 6], [0, 'update_1_speed', ''], [0, 'update_1_speed', false],
  ],
  'users without an id, or with a strange one': [
    [0, 'register', {}], [1, 'register', {}], [0, 'register', { id: null }], [1, 'register', { nickname: 'x' }],
    [0, 'register', { id: 0 }], [1, 'register', { id: '' }], [0, 'register', { id: '0', 2: 'b', 1: 'a', z: { b: 1, a: 2 } }],
  ],
  'one user in two tabs': [
    [0, 'register', { id: 1, tab: 0 }], [1, 'register', { id: 1, tab: 1 }], [0, 'register', { id: 1, tab: 'again' }],
    [0, 'register', { id: 2 }], [1, 'register', { id: 2 }], [0, 'register', { id: 1, tab: 0 }],
  ],
  'racers without an id, or with a strange one': [
    [0, 'join_stage', { token: 's' }], [1, 'join_stage', { token: 's', nickname: 'also' }], [0, 'join_stage', { token: 's', id: 0 }],
    [1, 'join_stage', { token: 's', id: 1.5 }], [0, 'join_stage', { token: 's', id: '__proto__' }], [1, 'join_stage', { token: 's', id: 0 }],
  ],
  'names that are numbers': [
    [0, 'join_stage', { token: 5, id: 1 }], [1, 'join_stage', { token: '5', id: 2 }], [0, 'start_race_5', {}],
    [0, 'add_car', { race_id: 1.5, id: 1 }], [1, 'add_car', { race_id: '1.5', id: 2 }], [1, 'update_1.5_speed', 1], [1, 'add_car', { race_id: -0, id: 1 }],
  ],
  'one racer twice, with other words': [
    [0, 'join_stage', { token: 's', id: 1, nickname: 'first' }], [0, 'join_stage', { token: 's', id: 1, nickname: 'second' }],
    [1, 'join_stage', { token: 's', id: 1, nickname: 'third' }], [0, 'start_race_s', {}], [1, 'start_race_s'], [1, 'start_race_s', 1, 2],
    [0, 'join_stage', { token: 's', id: 2 }], [0, 'join_stage', { token: 't', id: 1 }], [0, 'start_race_s', {}],
  ],
};

describe('odd, but possible', { concurrency: 2 }, () => {
  for (const [name, acts] of Object.entries(odd)) {
    test(name, async (t) => {
      const { subject, reference } = await startServers(t, '4.8.4', [{ id: 1 }]);
      const play = async (server) => {
        const players = await Promise.all([0, 1].map(async (n) => {
          const player = new Player(t, server.url, { name: `player ${n}`, version: '4.8.4', mode: 'websocket' });
          await player.perform({ does: 'connect' });
          return player;
        }));
        for (const [n, [who, ...event]] of acts.entries()) {
          players[who].socket.emit(...event);
          players[who].socket.emit('invite', { mark: n });
          await Promise.all(players.map((player) => player.hears(['invite', { mark: n }])));
        }
        return players.map((player) => player.transcript.map((event) => JSON.stringify(event)));
      };
      const [ours, theirs] = [await play(subject), await play(reference)];
      assert.deepEqual(ours, theirs);
      assert.ok(theirs[0].length >= 2 * acts.length, 'Node answers each of them');
    });
  }
});

// The one difference that is meant: an id is its text, here as everywhere else
// in Rollcall. To Node's service 1 and "1" were two racers.
test('a racer whose id comes as a number and as text is one racer', async (t) => {
  const { subject } = await startServers(t, '4.8.4');
  const player = new Player(t, subject.url, { name: 'player', version: '4.8.4', mode: 'websocket' });
  await player.perform({ does: 'connect' });
  player.socket.emit('join_stage', { token: 's', id: 1 });
  player.socket.emit('join_stage', { token: 's', id: '1' });
  player.socket.emit('invite', { mark: 0 });
  await player.hears(['invite', { mark: 0 }]);
  const told = ['update_stage_s', [{ token: 's', id: 1 }]];
  assert.deepEqual(player.transcript, [told, told, ['invite', { mark: 0 }]]);
});
