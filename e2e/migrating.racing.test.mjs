// docs/how-to/races.md: every sample shows what the text says; refusals are those of docs/reference/events.md.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Samples } from './migrating/samples.mjs';
import { connected, eachClient, Peer, serve, shows, Fixture, startRails } from './migrating/fixture.mjs';

const fixture = new Fixture();
const samples = new Samples('how-to/races.md');
before(() => fixture.start());
after(() => fixture.stop());

const ada = { id: 7, name: 'Ada' };
const bob = { id: 8, name: 'Bob' };

describe('races.md', { concurrency: 2 }, () => {
  const player = (user) => `
    const me = ${JSON.stringify(user)}, token = "derby", raceId = "heat-1";
    let racers, cars, track;
    const invites = [], speeds = [];
    const drawRacers = (all) => { racers = all.map(one => one.id); };
    const drawCars = (all) => { cars = all.map(one => one.id); };
    const drawSpeed = (id, speed) => speeds.push([id, speed]);
    const drawInvite = (text, url) => invites.push([text, url]);
    const begin = (id) => { track = id; };`;
  const open = (t, server, client, user, ...names) => fixture.open(t, {
    server, client, expected: [/^dialog: /],
    scripts: [player(user), ...names.map((name) => (name === 'connected' ? connected(server) : samples.take(name, server)))],
  });

  eachClient('invite: only the invited hears it', async (t, client) => {
    const server = await serve(t);
    const pages = [];
    for (const user of [ada, bob, { id: 9, name: 'Cem' }]) {
      const page = await open(t, server, client, user, 'connected', 'invite');
      await page.evaluate(() => new Promise((resolve) => socket.emit('register', me, resolve)));
      pages.push(page);
    }
    await pages[0].evaluate(() => invite({ id: 8 }));
    await shows(pages[1], 'invites', [['Ada waits for you', '/stages/derby']]);
    await pages[1].evaluate(() => invite({ id: 9 }));
    await shows(pages[2], 'invites', [['Bob waits for you', '/stages/derby']]);
    await shows(pages[0], 'invites', []);
    await shows(pages[1], 'invites.length', 1);
  });

  eachClient('stage and stands: the racers, and the start', async (t, client) => {
    const server = await serve(t, { RAILS_URL: await startRails(t) });
    const first = await open(t, server, client, ada, 'stage');
    await shows(first, 'racers', [7]);
    const tribune = await open(t, server, client, { id: 1 }, 'watch');
    await shows(tribune, 'racers', [7]);
    await shows(tribune, 'cars', []);
    const second = await open(t, server, client, bob, 'stage');
    for (const page of [first, second, tribune]) await shows(page, 'racers', [7, 8]);
    const outsider = new Peer(t, server);
    await outsider.does('sync');
    await second.evaluate(() => start());
    for (const page of [first, second]) await shows(page, 'track', 11);
    assert.equal((await outsider.ask('start_race_derby', {})).error, 'not_in_stage');
    await first.close();
    for (const page of [second, tribune]) await shows(page, 'racers', [8]);
    assert.deepEqual(outsider.heard.filter(([event]) => /stage|race/.test(event)), [], 'only racers and watchers are told');
  });

  test('stage: without tracks the refusal is shown', async (t) => {
    const server = await serve(t);
    const page = await open(t, server, '4.8', ada, 'stage');
    await shows(page, 'racers', [7]);
    const asked = page.waitForEvent('dialog');
    await page.evaluate(() => start());
    assert.notEqual((await asked).message(), '');
    const peer = new Peer(t, server);
    await peer.does('join_stage', { token: 'derby', id: 8 });
    assert.equal((await peer.ask('start_race_derby', {})).error, 'no_tracks');
  });

  eachClient('race: cars and speeds, for the stands too', async (t, client) => {
    const server = await serve(t, { PING_TIMEOUT: '1m' }); // a page that comes back has a second car
    const tribune = await open(t, server, client, { id: 1 }, 'watch');
    const first = await open(t, server, client, ada, 'race');
    await shows(first, 'cars', [7]);
    const second = await open(t, server, client, bob, 'race');
    for (const page of [first, second, tribune]) await shows(page, 'cars', [7, 8]);
    await second.evaluate(() => drive(72.5));
    for (const page of [first, second, tribune]) await shows(page, 'speeds', [[8, 72.5]]);
    const outsider = new Peer(t, server);
    assert.equal((await outsider.ask('update_heat-1_speed', { id: 8, speed: 1 })).error, 'not_in_race');
    await first.close();
    const late = await open(t, server, client, { id: 2 }, 'watch');
    await shows(late, 'cars', [7, 8]); // a car stays
  });

  test('the codes are those of the table', async (t) => {
    const server = await serve(t);
    const peer = new Peer(t, server);
    const code = async (event, argument) => (await peer.ask(event, argument)).error;
    assert.equal(await code('invite', { url: '/' }), 'bad_invite');
    assert.equal(await code('join_stage', { id: 1 }), 'bad_stage');
    assert.equal(await code('add_car', { id: 1 }), 'bad_car');
    assert.equal(await code('watch_stage', { id: 1 }), 'bad_stage');
    assert.equal(await code('watch_race', { id: 1 }), 'bad_race');
    assert.equal(await code('join_stage', { token: 't', id: 1, more: 'x'.repeat(4096) }), 'too_large');
    assert.equal(await code('add_car', { race_id: 't', id: 1, more: 'x'.repeat(4096) }), 'too_large');
    await peer.does('register', ada);
    await peer.does('status', 'hidden');
    assert.equal(await code('join_stage', { token: 't', id: 1 }), 'hidden');
    assert.equal(await code('add_car', { race_id: 't', id: 1 }), 'hidden');
  });
});

test('every sample was run', () => assert.deepEqual(samples.unread(), []));
