// The reference itself: the Node service on socket.io 4.8 and on 1.7 says the
// same, its fixes are needed, and a comparison with a server that is slightly
// wrong fails.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FIXES, servedBy, startCodeRacer } from './lib/coderacer.mjs';
import { runProgram } from './lib/server.mjs';
import { until } from './lib/wait.mjs';
import { Player } from './racing/player.mjs';
import { TRACKS, startRails } from './racing/rails.mjs';
import { writeScript } from './racing/script.mjs';
import { seeds } from './racing/seed.mjs';
import { compareTranscripts } from './racing/compare-transcripts.mjs';

async function node(t, options) {
  const rails = await startRails(t);
  const server = await startCodeRacer({ railsUrl: rails.url, ...options });
  t.after(() => server.stop());
  return server;
}

// The one on 4.8 is the subject, since 1.7 has a peculiarity: it notices that
// a client has gone while it tells all of something else, and then tells the
// two things in different orders to different clients.
describe('both libraries', { concurrency: 2 }, () => {
  for (const seed of seeds([1])) {
    test(`seed ${seed}`, async (t) => {
      const script = writeScript({ seed, versions: servedBy['1.7.4'] });
      const [subject, reference] = await Promise.all([node(t, { library: '4.8.4' }), node(t, { library: '1.7.4' })]);
      await compareTranscripts(t, script, { subject, reference, tracks: TRACKS });
    });
  }

  test('all four versions of clients, seed 6', async (t) => {
    const script = writeScript({ seed: 6, versions: servedBy['4.8.4'] });
    const { ours } = await compareTranscripts(t, script, { subject: await node(t), reference: await node(t), tracks: TRACKS });
    // The script was about something.
    const told = ours.watcher.transcript.map(([event]) => event);
    for (const event of [/^online_users$/, /^invite$/, /^update_stage_/, /^start_race_/, /^race_.*_update$/, /^update_.*_speed$/]) {
      assert.ok(told.filter((one) => event.test(one)).length > 2, `${event}: ${told}`);
    }
  });
});

test('a script is the same for the same seed, and another for another', () => {
  const write = (seed) => JSON.stringify(writeScript({ seed, versions: servedBy['4.8.4'] }));
  assert.equal(write(1), write(1));
  assert.notEqual(write(1), write(2));
});

// What a client sees without the fix named.
describe('each fix is needed', () => {
  const stage = { token: 't', id: 1 };
  const twice = [['join_stage', stage], ['join_stage', stage], ['start_race_t', {}], ['invite', { id: 'end' }]];
  const cars = [['add_car', { race_id: 1 }], ['add_car', { race_id: 1 }], ['update_1_speed', 5], ['invite', { id: 'end' }]];
  const events = async (t, options, sent) => {
    const server = await node(t, options);
    const player = new Player(t, server.url, { name: 'one', version: '4.8.4', mode: 'websocket' });
    await player.perform({ does: 'connect' });
    for (const event of sent) player.socket.emit(...event);
    await player.hears(['invite', { id: 'end' }]);
    return player.transcript.map(([event]) => event);
  };

  test('join twice', async (t) => {
    const without = await events(t, { without: ['join twice'] }, twice);
    assert.equal(without.filter((event) => event === 'start_race_t').length, 2);
    assert.deepEqual(await events(t, {}, twice), ['update_stage_t', 'update_stage_t', 'start_race_t', 'invite']);
  });

  test('car twice', async (t) => {
    const without = await events(t, { without: ['car twice'] }, cars);
    assert.equal(without.filter((event) => event === 'update_1_speed').length, 2);
    assert.deepEqual(await events(t, {}, cars), ['race_1_update', 'race_1_update', 'update_1_speed', 'invite']);
  });

  // The others end the process.
  const ends = {
    'no tracks': [['join_stage', stage], ['start_race_t', {}]],
    'no data': [['join_stage'], ['add_car', null]],
    inherited: [['join_stage', { token: 'constructor', id: 1 }], ['add_car', { race_id: '__proto__', id: 1 }]],
  };
  for (const fix of FIXES.filter((one) => ends[one])) {
    test(fix, async (t) => {
      const sent = [...ends[fix], ['invite', { id: 'end' }]];
      const railsUrl = fix === 'no tracks' ? (await startRails(t, [])).url : undefined;
      assert.equal((await events(t, railsUrl ? { railsUrl } : {}, sent)).at(-1), 'invite');
      const fell = await fallen(t, { without: [fix], ...(railsUrl && { railsUrl }) }, sent);
      assert.match(fell, /TypeError/);
    });
  }
});

// fallen runs the service in a process of its own and returns its last words.
async function fallen(t, options, sent) {
  const code = `import { startCodeRacer } from ${JSON.stringify(new URL('./lib/coderacer.mjs', import.meta.url))};
    console.log((await startCodeRacer(${JSON.stringify(options)})).url + ';');`;
  const server = runProgram(process.execPath, ['--input-type=module', '-e', code]);
  t.after(() => server.stop('SIGKILL'));
  const url = await until(() => server.log().match(/(http.*);/)?.[1], 'the service in a process of its own', { show: server.log });
  const player = new Player(t, url, { name: 'one', version: '4.8.4', mode: 'websocket' });
  await player.perform({ does: 'connect' });
  for (const event of sent) player.socket.emit(...event);
  await until(() => server.exited(), 'the end of the service');
  return server.log();
}

// Faults of a server, each small: what a subject emits instead.
const faults = {
  'a list too many': (event, data) => (event === 'online_users' ? [[event, data], [event, data]] : undefined),
  'a list upside down': (event, data) => (event === 'online_users' ? [[event, data.toReversed()]] : undefined),
  'a list without its last': (event, data) => (event === 'online_users' && data.length > 3 ? [[event, data.slice(0, -1)]] : undefined),
  'an invite with a field less': (event, { url, ...data }) => (event === 'invite' && url ? [[event, data]] : undefined),
  'a number as text': (event, data) => (event.endsWith('_speed') ? [[event, data?.position ? { ...data, position: `${data.position}` } : data]] : undefined),
  'a stage with somebody twice': (event, data) => (event.startsWith('update_stage_') ? [[event, [...data, data.at(-1)]]] : undefined),
  'a track nobody knows': (event) => (event.startsWith('start_race_') ? [[event, { track_id: 99 }]] : undefined),
  'a race under another name': (event, data) => (event.startsWith('race_') ? [[`${event}s`, data]] : undefined),
  'an argument too many': (event, data) => (event.startsWith('race_') ? [[event, data, data.length]] : undefined),
};

// And of one client's transcript alone.
const tampers = {
  'something is missing': (transcript) => transcript.slice(1),
  'two things in the wrong order': (transcript) => (transcript.length > 1 ? [transcript[1], transcript[0], ...transcript.slice(2)] : transcript),
  'something is told twice': (transcript) => [...transcript, ...transcript.slice(-1)],
  'keys in the wrong order': (transcript) => transcript.map(([event, data]) => [event, event === 'invite' ? { nickname: data.nickname, ...data } : data]),
};

describe('negative controls: what is wrong is found', { concurrency: 2 }, () => {
  const play = async (t, { fault, tamper }) => {
    const script = writeScript({ seed: 11, versions: servedBy['4.8.4'] });
    const told = (event, ...args) => fault?.(event, ...args) ?? [[event, ...args]];
    const [subject, reference] = await Promise.all([node(t, { fault: told }), node(t)]);
    return compareTranscripts(t, script, { subject, reference, tracks: TRACKS, tamper });
  };
  const found = /what \w+ received|nobody did what is told|nothing is told of/;

  test('nothing is wrong', (t) => play(t, {}));
  for (const [name, fault] of Object.entries(faults)) {
    test(`a server that tells ${name}`, (t) => assert.rejects(play(t, { fault }), found));
  }
  for (const [name, change] of Object.entries(tampers)) {
    const tamper = (player, transcript) => (player === 'p1' ? change(transcript) : transcript);
    test(`a client to whom ${name}`, (t) => assert.rejects(play(t, { tamper }), found));
  }
  test('somebody is told another track than the others', async (t) => {
    const [script, subject, reference] = [writeScript({ seed: 11, versions: servedBy['4.8.4'] }), await node(t), await node(t)];
    const tracks = TRACKS.slice(1);
    await assert.rejects(compareTranscripts(t, script, { subject, reference, tracks }), found);
  });
});
