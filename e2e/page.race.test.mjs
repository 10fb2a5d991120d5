// The page's race: several tabs, real keys, cuts, late comers, tracks.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { describe, test } from 'node:test';
import { io } from 'client-4.8';
import { serve, shot } from './lib/browser.mjs';
import { finds, isLive, loses, narrow, shows, visitor } from './lib/pages.mjs';
import { startProxy } from './lib/proxy.mjs';
import { PATIENCE, until } from './lib/wait.mjs';

const FINISH = 40;

const drivers = (page, names) => shows(page, '#lanes .driver', names);
const line = (page, text) => page.locator('#race-line').getByText(text).waitFor();
const startButton = (page) => page.getByRole('button', { name: 'Start' });

async function takeCar(page) {
  await page.getByRole('button', { name: 'Take a car' }).click();
  await startButton(page).waitFor(); // it knows that it is on the stage
}

// takeCars has Ann take hers before Ben.
async function takeCars(ann, ben) {
  await takeCar(ann);
  await drivers(ben, ['Ann']);
  await takeCar(ben);
  await drivers(ann, ['Ann', 'Ben']);
}

const start = (page) => startButton(page).click();
const drive = (page) => page.getByRole('button', { name: 'Drive!' });

// press drives with real keys at first. All the steps of a race would take a slow
// machine longer than a race may last.
async function press(page, steps) {
  await drive(page).waitFor();
  for (let i = 0; i < Math.min(steps, 10); i++) await page.keyboard.press('abcdefg'[i % 7]);
  await page.evaluate((left) => {
    const focused = document.activeElement;
    for (let i = 0; i < left; i++) focused.dispatchEvent(new KeyboardEvent('keydown', { key: 'a', bubbles: true, cancelable: true }));
  }, steps - 10);
}

// tooEarly presses a key in the moment in which a page says that the race is about
// to begin: from outside, that moment could be missed.
const tooEarly = (page) => page.evaluate(() => {
  const line = document.getElementById('race-line');
  window.early = new Promise((resolve) => {
    new MutationObserver((_, observer) => {
      if (line.textContent !== 'Ready…') return;
      observer.disconnect();
      const drive = document.getElementById('race-drive');
      drive.dispatchEvent(new KeyboardEvent('keydown', { key: 'x', bubbles: true, cancelable: true }));
      resolve(!drive.hidden && drive.textContent);
    }).observe(line, { childList: true, characterData: true, subtree: true });
  });
});

// ways waits until the cars, top to bottom, are so far (in steps).
const ways = (page, expected) => until(async () => {
  const now = await page.locator('#lanes .road').evaluateAll((roads) => roads.map((road) => Number(road.getAttribute('aria-valuenow'))));
  return JSON.stringify(now) === JSON.stringify(expected.map((way) => Math.round(way / FINISH * 100)));
}, `the cars at ${expected}`);

describe('the race of the page', { concurrency: 3 }, () => {
  test('three tabs, one of them without a car, see all cars move, to the end and once more', async (t) => {
    const { url } = await serve();
    const ann = await visitor(t, url, 'Ann');
    const ben = await ann.profile.open(url); // another tab of the same person
    await isLive(ben);
    const cem = await visitor(t, url); // in no list
    await line(cem, 'Nobody is on the start line yet.');
    await takeCar(ann);
    await line(ann, 'You are on the start line. Open a second tab, or start alone.');
    await line(cem, 'Ann is on the start line.');
    await takeCar(ben);
    for (const page of [ann, ben, cem]) {
      await line(page, '2 cars are on the start line.');
      await drivers(page, ['Ann', 'Ann']);
    }
    await tooEarly(ann);
    await start(ann);
    assert.match(await ann.evaluate(() => window.early), /^[123]…$/);
    for (const page of [ann, ben, cem]) await line(page, 'Go!');
    await ann.getByText('No tracks are known here, so the road is straight.').waitFor();
    assert.equal(await ann.getByRole('alert').count(), 0, 'which is no fault');
    assert.equal(await drive(cem).count(), 0, 'a visitor without a car has no button');
    await ways(cem, [0, 0]);

    await press(ann, 10);
    for (let i = 0; i < 4; i++) await drive(ben).click();
    await ben.keyboard.press('Space');
    await ben.keyboard.press('Enter');
    await ben.keyboard.press('Tab');
    await ben.keyboard.press('Shift+Tab');
    for (const page of [ann, ben, cem]) await ways(page, [10, 6]);
    await ann.keyboard.down('z');
    for (let i = 0; i < 5; i++) await ann.keyboard.down('z'); // held
    await ann.keyboard.up('z');
    for (const page of [ann, ben, cem]) await ways(page, [11, 6]);
    await shot(ann, 'race');

    await press(ann, FINISH - 11);
    await line(ann, 'You are there. The others are on their way.');
    await ann.keyboard.press('Space'); // still pressing: it starts nothing
    await press(ben, FINISH - 6);
    for (const page of [ann, ben, cem]) {
      await line(page, /^Ann won in \d+\.\d s\.$/);
      await ways(page, [FINISH, FINISH]);
    }
    await ann.keyboard.press('Space');
    assert.equal(await ann.locator('#race-start:visible').count(), 1);
    await shot(ann, 'race-over');

    await takeCar(cem);
    await start(cem);
    for (const page of [ann, ben, cem]) {
      await line(page, 'Go!');
      await ways(page, [0, 0, 0]);
    }
    await press(cem, 3);
    for (const page of [ann, ben]) await until(async () => (await page.locator('.road[aria-valuenow="8"]').count()) === 1, 'the third car at 3 of 40');
  });

  test('a car whose tab is closed does not delay the race', async (t) => {
    const { url } = await serve();
    const [ann, ben] = [await visitor(t, url, 'Ann'), await visitor(t, url, 'Ben')];
    await takeCars(ann, ben);
    await start(ben);
    await press(ann, 2);
    await ben.close();
    await press(ann, FINISH - 2);
    await line(ann, /^Ann won in/);
  });

  test('of two starts at the same time one counts for all', async (t) => {
    const { url } = await serve();
    const [ann, ben] = [await visitor(t, url, 'Ann'), await visitor(t, url, 'Ben')];
    await takeCars(ann, ben);
    await drivers(ben, ['Ann', 'Ben']);
    const hasty = io(url, { transports: ['websocket'], forceNew: true });
    t.after(() => hasty.disconnect());
    const cars = {};
    const races = ['a'.repeat(16), 'b'.repeat(16)];
    hasty.emit('join', { room: 'rollcall: races' });
    for (const race of races) {
      hasty.on(`race_${race}_update`, (list) => { cars[race] = list.map((car) => car.name).sort(); });
      hasty.emit('watch_race', { race_id: race });
    }
    for (const race of races) hasty.emit('message', { room: 'rollcall: races', content: JSON.stringify({ race }) });
    await press(ann, 5);
    await press(ben, 7);
    for (const page of [ann, ben]) await ways(page, [5, 7]);
    await until(() => cars[races[0]]?.length === 2 && cars[races[1]], 'both races', { show: () => cars });
    assert.deepEqual(cars, { [races[0]]: ['Ann', 'Ben'], [races[1]]: [] });
  });

  test('a late visitor, and one that reconnects, are in the race', async (t) => {
    const { url, port } = await serve();
    const proxy = await startProxy(t, port);
    const ann = await visitor(t, proxy.url, 'Ann', { expected: [/WebSocket|ERR_CONNECTION|Failed to load resource/] });
    const ben = await visitor(t, url, 'Ben');
    await takeCars(ann, ben);
    await start(ann);
    await press(ann, 4);
    await press(ben, 1);
    const cem = await visitor(t, url, 'Cem');
    await line(cem, 'Go!');
    await drivers(cem, await ann.locator('#lanes .driver').allTextContents());
    await loses(ann, proxy);
    await finds(ann);
    await press(ann, 4);
    const at = (page, name, step) => until(async () => (await page.locator('#lanes li', { hasText: name }).locator(`[aria-valuenow="${step / FINISH * 100}"]`).count()) === 1, `${name} at ${step}`);
    for (const page of [ann, ben, cem]) {
      await at(page, 'Ann', 8);
      assert.equal(await page.locator('#lanes li').count(), 2, 'no car twice');
    }
  });

  test('tracks of the Rails app', async (t) => {
    const rails = createServer((request, response) => response.end('[{"id":7}]'));
    await new Promise((resolve) => rails.listen(0, '127.0.0.1', resolve));
    t.after(() => { rails.closeAllConnections(); rails.close(); });
    const { url } = await serve({ RAILS_URL: `http://127.0.0.1:${rails.address().port}` });
    const [ann, ben] = [await visitor(t, url, 'Ann'), await visitor(t, url, 'Ben')];
    await takeCar(ann);
    await start(ann);
    for (const page of [ann, ben]) await page.locator('#race-note').getByText('Track 7').waitFor();
    await press(ann, FINISH);
    await line(ben, /^Ann won in/);
  });

  test('what other clients send moves only cars, and is text', async (t) => {
    const { url } = await serve();
    const ann = await visitor(t, url, 'Ann');
    await takeCar(ann);
    await drivers(ann, ['Ann']);
    const evil = io(url, { transports: ['websocket'], forceNew: true });
    t.after(() => evil.disconnect());
    const ask = (...event) => evil.timeout(PATIENCE).emitWithAck(...event);
    const markup = '<img src=x onerror=alert(1)>';
    await ask('join_stage', { token: 'rollcall', id: 'e', name: markup });
    await ask('join_stage', { token: 'rollcall', id: 7, name: 'a number' });
    await ask('join_stage', { token: 'rollcall', id: 'n', name: { first: 'x' } });
    await drivers(ann, ['Ann', markup, 'Somebody']);
    await ask('join', { room: 'rollcall: races' });
    for (const content of ['hello', 'null', '[]', '{"race":5}', '{"race":"../../x"}', '{"race":"__proto__"}']) {
      await ask('message', { room: 'rollcall: races', content });
    }
    await line(ann, '3 cars are on the start line.');
    const race = '0123456789abcdef';
    await ask('message', { room: 'rollcall: races', content: JSON.stringify({ race, track: markup }) });
    await ask('add_car', { race_id: race, id: 'e', name: markup });
    await line(ann, 'Go!');
    await press(ann, 2);
    const speed = `update_${race}_speed`;
    for (const data of [null, 5, {}, { id: 'nobody', way: 5 }, { id: 'e' }, { id: 'e', way: '9' }, { id: 'e', way: null }]) await ask(speed, data);
    await ask(speed, { id: 'e', way: 10 });
    const theirs = ann.locator('#lanes li', { hasText: markup });
    await theirs.locator('[aria-valuenow="25"]').waitFor();
    // Nobody else drives this tab's own car.
    const own = await ann.locator('#lanes li.own .road').getAttribute('aria-valuenow');
    assert.equal(own, '5');
    await ask(speed, { id: 'e', way: 1e9, ms: 'soon' });
    await theirs.locator('[aria-valuenow="100"]').waitFor();
    assert.equal(await ann.locator('.race :is(img, script)').count(), 0);
    await narrow(ann);
    await shot(ann, 'race-phone', { fullPage: true });
  });

  test('many cars are shown as a few lanes and a number, and a full stage as an alert', async (t) => {
    const { url } = await serve({ EVENTS_PER_SECOND: '2000', EVENTS_BURST: '2000' });
    const many = io(url, { transports: ['websocket'], forceNew: true });
    t.after(() => many.disconnect());
    for (let i = 0; i < 499; i++) many.emit('join_stage', { token: 'rollcall', id: `c${i}`, name: `Car ${i}` });
    const ann = await visitor(t, url, 'Ann');
    await line(ann, '499 cars are on the start line.');
    await takeCar(ann);
    await ann.getByText('and 492 more').waitFor();
    assert.deepEqual((await ann.locator('#lanes .driver').allTextContents()).slice(-1), ['Ann'], 'one sees oneself');
    const ben = await visitor(t, url, 'Ben');
    await ben.getByRole('button', { name: 'Take a car' }).click();
    await ben.getByRole('alert').getByText('There are 500 racers in this stage already.').waitFor();
  });

  test('the small client races too', async (t) => {
    const { url } = await serve();
    const [lia, ben] = [await visitor(t, url, 'Lia', { lite: true }), await visitor(t, url, 'Ben')];
    assert.equal(await lia.evaluate(() => typeof window.io), 'undefined');
    for (let round = 0; round < 2; round++) {
      if (round === 0) await takeCar(lia);
      await start(lia);
      await line(ben, 'Go!');
      await press(lia, FINISH);
      for (const page of [lia, ben]) await line(page, /^Lia won in/);
    }
  });

  test('with COMPAT=strict, where everybody is told everything', async (t) => {
    const { url } = await serve({ COMPAT: 'strict' });
    const [ann, ben] = [await visitor(t, url, 'Ann'), await visitor(t, url, 'Ben')];
    await takeCars(ann, ben);
    await start(ann);
    await line(ann, 'Go!');
    const began = Date.now();
    await press(ben, FINISH);
    // Each page measures its own time: Ann's is longer when this much has passed.
    const time = ann.locator('#lanes li', { hasText: 'Ben' }).locator('.time');
    await until(async () => {
      const seconds = parseFloat(await time.textContent());
      return Date.now() - began > 1000 * seconds + 100;
    }, 'Ben to be there, and more time to have passed');
    await press(ann, FINISH);
    for (const page of [ann, ben]) await line(page, /^Ben won in/);
  });
});
