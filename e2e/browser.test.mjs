// The original application's lines in a real browser, from another origin:
// with the client it ships (1.3.2) and with the one Rollcall serves (4.8).
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { newProfile } from './lib/browser.mjs';
import { startSite } from './lib/pages.mjs';
import { startServer } from './lib/server.mjs';
import { onReference, startTarget } from './lib/target.mjs';

const zoe = { id: 7, nickname: 'Zoë 山田 😀 </script>', score: 1.5 };
const ben = { id: 8, nickname: 'Бен' };

const modes = {
  'polling, then WebSocket': { options: {}, ends: 'websocket' },
  'polling only': { options: { transports: ['polling'] }, ends: 'polling' },
  'WebSocket only': { options: { transports: ['websocket'] }, ends: 'websocket' },
};
const kinds = [
  ...['1.3', '4.8'].flatMap((version) => Object.entries(modes).map(([mode, how]) => ({ version, mode, ...how }))),
  { version: '1.3', mode: 'JSONP', options: { transports: ['polling'], forceJSONP: true }, ends: 'polling' },
  { version: '4.8', mode: 'polling, then WebSocket, with cookies', options: { withCredentials: true }, ends: 'websocket' },
];

// Socket.IO 4 in Node no longer speaks to 1.x browsers over XHR polling.
const served = ({ version, mode }) => !onReference || version !== '1.3' || mode === 'WebSocket only';

async function stage(t) {
  // A page that is closed between two polls is missed at the next ping only.
  const server = await startTarget(t, { PING_INTERVAL: '1000ms', PING_TIMEOUT: '8000ms' });
  return { server, site: await startSite(t, server) };
}

async function visit(t, url) {
  const profile = await newProfile(t);
  return { profile, page: await go(profile, url) };
}

// go does not wait for the load event: to JSONP, waiting polls are part of it.
async function go(profile, url) {
  const page = await profile.context.newPage();
  await page.goto(url, { waitUntil: 'commit' });
  await page.waitForFunction(() => window.log?.length > 0);
  return page;
}

const listed = (page, ...ids) => page.waitForFunction(
  (wanted) => JSON.stringify((window.users ?? []).map((user) => user.id)) === wanted, JSON.stringify(ids));
const logged = (page, event, id) => page.waitForFunction(
  ([name, who]) => window.log.find(([one, user]) => one === name && user?.id === who), [event, id]);

describe('the application in Chromium', { concurrency: 2 }, () => {
  for (const { version, mode, options, ends } of kinds.filter(served)) {
    test(`client ${version}, ${mode}`, async (t) => {
      const { site, server } = await stage(t);
      const first = await visit(t, site.page(version, zoe, options));
      await listed(first.page, 7);
      const second = await visit(t, site.page(version, ben, options));
      for (const { page } of [first, second]) {
        await listed(page, 7, 8);
        assert.deepEqual(await page.evaluate(() => window.users), [zoe, ben]);
        await page.waitForFunction((name) => window.transport() === name, ends);
        assert.notEqual(await page.evaluate(() => location.origin), server.url);
      }

      // A second tab of the same racer, in the same browser, comes and goes unseen.
      const tab = await go(second.profile, site.page(version, ben, options));
      await listed(tab, 7, 8);
      await tab.waitForFunction((name) => window.transport() === name, ends);
      await tab.close();
      await first.page.evaluate(() => socket.emit('register', { id: 7, nickname: 'Zoe' }));
      await logged(second.page, 'update_user', 7);
      await second.page.waitForFunction(() => window.users[0].nickname === 'Zoe');
      await second.page.close();
      await logged(first.page, 'remove_user', 8);
      await listed(first.page, 7);
      const removals = await first.page.evaluate(() => window.log.filter(([event]) => event === 'remove_user'));
      assert.equal(removals.length, 1);
      assert.deepEqual(removals[0][1], ben);
      assert.match(removals[0][2].reason, ends === 'polling' ? /^(closed|timeout)$/ : /^closed$/);

      assert.deepEqual(first.profile.faults, []);
      assert.deepEqual(second.profile.faults, []);
      const problems = await first.page.evaluate(() => window.log.filter(([event]) => event === 'rollcall_error' || event === 'disconnect'));
      assert.deepEqual(problems, []);
    });
  }

  if (!onReference) test('old and new clients see each other', async (t) => {
    const { site } = await stage(t);
    const old = await visit(t, site.page('1.3', zoe));
    await listed(old.page, 7);
    const young = await visit(t, site.page('4.8', ben));
    await listed(old.page, 7, 8);
    await listed(young.page, 7, 8);
    await old.page.reload();
    // The reloaded page is a new entry: it is at the end of the list.
    await listed(young.page, 8, 7);
    await old.page.goto('about:blank');
    await listed(young.page, 8);
    assert.deepEqual(old.profile.faults, []);
    assert.deepEqual(young.profile.faults, []);
  });

  if (!onReference) test('a page finds the server again after it was restarted', async (t) => {
    const first = await startServer();
    t.after(() => first.stop('SIGKILL'));
    const site = await startSite(t, first);
    const options = { reconnectionDelay: 50, reconnectionDelayMax: 100 };
    const pages = [];
    for (const [version, racer] of [['1.3', zoe], ['4.8', ben]]) {
      const profile = await newProfile(t, { expected: [/net::ERR_|WebSocket connection|Failed to load resource/] });
      const page = await go(profile, site.page(version, racer, options));
      await page.evaluate(() => socket.on('connect', () => socket.emit('register', window.CURRENT_RACER)));
      pages.push({ page, profile });
    }
    for (const { page } of pages) await listed(page, 7, 8);
    await first.stop('SIGKILL');
    for (const { page } of pages) await page.waitForFunction(() => window.log.some(([event]) => event === 'disconnect'));
    for (const { page } of pages) await page.evaluate(() => { window.users = []; });
    const second = await startServer({ PORT: String(first.port) });
    t.after(() => second.stop());
    for (const { page, profile } of pages) {
      await page.waitForFunction(() => JSON.stringify(window.users.map((user) => user.id).sort()) === '[7,8]', null);
      assert.deepEqual(profile.faults, []);
    }
  });
});
