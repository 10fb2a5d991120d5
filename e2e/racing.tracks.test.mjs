// Tracks come from the Rails application, whatever state it is in.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { connect } from './lib/clients.mjs';
import { WsSession } from './lib/raw.mjs';
import { startServer } from './lib/server.mjs';
import { startTarget } from './lib/target.mjs';
import { until } from './lib/wait.mjs';
import { TRACKS, json, startRails } from './racing/rails.mjs';

const racing = { version: '2.5.0', mode: 'websocket' };

// A racer has joined the stage "s", and starts races as often as it likes.
async function racer(t, server) {
  const client = await connect(t, server.url, racing);
  client.started = [];
  client.socket.on('start_race_s', (data) => client.started.push(data));
  assert.deepEqual(await client.ask('join_stage', { token: 's', id: 1 }), { ok: true });
  client.starts = async () => {
    const before = client.started.length;
    const answer = await client.ask('start_race_s', {});
    if (answer.ok) await client.until(() => client.started.length > before, 'the start');
    return answer;
  };
  return client;
}

const noTracks = (answer) => {
  assert.equal(answer.ok, false);
  assert.equal(answer.error, 'no_tracks');
  assert.ok(answer.message.length > 5);
};

test('each track of the Rails application has its turn, the id byte for byte', async (t) => {
  const rails = await startRails(t);
  rails.answer = (request, response) => json(response, '[{"id":12345678901234567890,"name":"x"},{"id":"b\\u00e9"},{"name":"no id"}]');
  const server = await startTarget(t, { RAILS_URL: rails.url, EVENTS_PER_SECOND: '0' });
  const session = await WsSession.open(server, { query: { presence: 'none' } });
  t.after(() => session.close());
  session.send('42["join_stage",{"token":"s","id":1}]');
  const started = () => new Set(session.packets.filter((packet) => String(packet).startsWith('42["start_race_s"')));
  await until(() => { session.send('42["start_race_s",{}]'); return started().size === 2; }, 'both tracks', { show: () => [...started()] });
  assert.deepEqual([...started()].sort(), ['42["start_race_s",{"track_id":"b\\u00e9"}]', '42["start_race_s",{"track_id":12345678901234567890}]']);
});

test('without RAILS_URL no track is known', async (t) => {
  const client = await racer(t, await startTarget(t));
  noTracks(await client.starts());
  client.socket.emit('start_race_s', {});
  const [error] = await client.sees('rollcall_error');
  assert.deepEqual([error.error, error.event], ['no_tracks', 'start_race_s']);
  assert.deepEqual(client.started, []);
});

// A Rails application that does not give tracks: nothing waits for it, and the
// race can be started once it does, without a restart.
describe('an application in trouble', { concurrency: 4 }, () => {
  const troubles = {
    'breaks off in the midst': (request, response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': 1000 });
      response.write('[{"id":1}');
      response.socket.end();
    },
    'answers 500': (request, response) => response.writeHead(500).end('[{"id":1}]'),
    'answers what is not JSON': (request, response) => json(response, '[{"id":1},'),
    'answers a page': (request, response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<html>Please sign in</html>'),
    'answers an object': (request, response) => json(response, { tracks: TRACKS }),
    'knows no tracks': (request, response) => json(response, []),
    'knows only tracks without id': (request, response) => json(response, [{ name: 'Ruby' }, null, 7]),
    'answers far too much': (request, response) => json(response, `[${'{"id":1},'.repeat(300_000)}{"id":2}]`),
  };
  for (const [name, answer] of Object.entries(troubles)) {
    test(`it ${name}, and then is well`, async (t) => {
      const rails = await startRails(t);
      rails.answer = answer;
      const server = await startTarget(t, { RAILS_URL: rails.url, EVENTS_PER_SECOND: '0' });
      const client = await racer(t, server);
      await until(() => rails.asked > 0, 'the question for tracks');
      await until(() => /track/i.test(server.log()), 'a line in the log', { show: server.log });
      noTracks(await client.starts());
      rails.answer = (request, response) => json(response, [{ id: 5 }]);
      await until(async () => (await client.starts()).ok, 'a race', { show: server.log });
      assert.deepEqual(client.started.at(-1), { track_id: 5 });
    });
  }

  test('it is not there, and then it is', async (t) => {
    const rails = await startRails(t);
    await rails.gone();
    const server = await startTarget(t, { RAILS_URL: rails.url, EVENTS_PER_SECOND: '0' });
    const client = await racer(t, server);
    await until(() => /track/i.test(server.log()), 'a line in the log', { show: server.log });
    noTracks(await client.starts());
    await rails.back();
    await until(async () => (await client.starts()).ok, 'a race', { show: server.log });
  });

  test('it is slow', async (t) => {
    const rails = await startRails(t);
    let answer;
    rails.answer = (request, response) => { answer = () => json(response, [{ id: 5 }]); };
    const server = await startTarget(t, { RAILS_URL: rails.url, EVENTS_PER_SECOND: '0' });
    const client = await racer(t, server);
    await until(() => answer, 'the question for tracks');
    noTracks(await client.starts());
    answer();
    await until(async () => (await client.starts()).ok, 'a race');
    assert.equal(rails.asked, 1);
  });

  test('it never ends its answer: everything else goes on, and it is asked again', async (t) => {
    const rails = await startRails(t);
    rails.answer = (request, response) => { response.writeHead(200, { 'content-type': 'application/json' }).write('['); };
    const server = await startTarget(t, { RAILS_URL: rails.url, EVENTS_PER_SECOND: '0' });
    await until(() => rails.asked > 0, 'the question for tracks');
    const client = await racer(t, server);
    noTracks(await client.starts());
    assert.deepEqual(await client.ask('register', { id: 1 }), { ok: true });
    rails.answer = (request, response) => json(response, [{ id: 5 }]);
    await until(async () => (await client.starts()).ok, 'a race', { show: server.log });
  });

  test('it never ends its answer, and the shutdown does not wait for it', async (t) => {
    const rails = await startRails(t);
    rails.answer = (request, response) => { response.writeHead(200, { 'content-type': 'application/json' }).write('['); };
    const server = await startServer({ RAILS_URL: rails.url });
    t.after(() => server.stop());
    await until(() => rails.asked > 0, 'the question for tracks');
    const began = Date.now();
    await server.stop();
    assert.ok(Date.now() - began < 9000, 'less than the 10 s that an answer may take');
  });

  test('it goes away after it gave tracks: they are kept', async (t) => {
    const rails = await startRails(t);
    const server = await startTarget(t, { RAILS_URL: rails.url, EVENTS_PER_SECOND: '0' });
    const client = await racer(t, server);
    await until(async () => (await client.starts()).ok, 'the tracks');
    await rails.gone();
    for (let n = 0; n < 5; n++) assert.deepEqual(await client.starts(), { ok: true });
    for (const { track_id: id } of client.started) assert.ok(TRACKS.some((track) => track.id === id), `${id} is a track`);
  });
});

test('strict: no track is no end of the process, and nobody hears of a race', async (t) => {
  const server = await startTarget(t, { COMPAT: 'strict' });
  const [client, other] = await Promise.all([racer(t, server), racer(t, server)]);
  noTracks(await client.starts());
  await client.ask('register', { id: 1 });
  await other.listed(1);
  assert.deepEqual([client.started, other.started], [[], []]);
});
