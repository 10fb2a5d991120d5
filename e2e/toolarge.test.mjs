// A client that sends more than the limits allow gets the reason: the same in every
// version, over every transport.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { newProfile } from './lib/browser.mjs';
import { connect, covering } from './lib/clients.mjs';
import { startSite } from './lib/pages.mjs';
import { startServer } from './lib/server.mjs';

let server;
before(async () => { server = await startServer(); });
after(() => server.stop());

const MESSAGE = 'A message is larger than MAX_MESSAGE, 65536 bytes.';
const BODY = 'The body is larger than MAX_BODY, 1000000 bytes.';
const because = (error, message) => ({ ok: false, event: '', error, message });

// One after the other: old clients encode for as long as the server waits for the
// poll that brings the reason, and stop the whole process meanwhile.
describe('a client that sends too much gets the reason', () => {
  for (const kind of covering) {
    for (const size of [70_000, 2_000_000]) {
      test(`client ${kind.version} ${kind.mode}, ${size} bytes`, async (t) => {
        const polls = kind.mode === 'polling';
        const client = await connect(t, server.url, kind);
        const ends = [];
        client.socket.on('disconnect', (...args) => ends.push(args));
        const id = `${kind.version} ${kind.mode} ${size}`;
        await client.ask('register', { id });
        await client.listed(id); // nothing else is due: the client polls
        client.socket.emit('message', { room: 'hall', content: 'x'.repeat(size) });
        for (let n = 0; n < 10; n++) client.socket.emit('heartbeat'); // sent before the reason arrives
        await client.until(() => ends.length > 0, 'the end');
        const why = polls && size > 1_000_000 ? because('body_too_large', BODY) : because('message_too_large', MESSAGE);
        assert.deepEqual(client.of('rollcall_error'), [[why]]);
        const [[reason, details]] = ends;
        assert.equal(reason, 'transport close');
        if (kind.version === '4.8.4') {
          assert.equal(details.context?.code, polls ? undefined : 1009);
          assert.equal(details.description, polls ? 'transport closed by the server' : 'websocket connection closed');
        }
      });
    }
  }
});

describe('over JSONP too', () => {
  for (const [size, why] of [[70_000, because('message_too_large', MESSAGE)], [2_000_000, because('body_too_large', BODY)]]) {
    test(`client 1.3 JSONP in Chromium, ${size} bytes`, async (t) => {
      const site = await startSite(t, server);
      const profile = await newProfile(t, { expected: [/status of 413/] });
      const page = await profile.context.newPage();
      const options = { transports: ['polling'], forceJSONP: true, reconnection: false };
      await page.goto(site.page('1.3', { id: 7 }, options), { waitUntil: 'commit' });
      await page.waitForFunction(() => window.users?.some((user) => user.id === 7));
      await page.evaluate((length) => { socket.emit('message', { room: 'hall', content: 'x'.repeat(length) }); }, size);
      await page.waitForFunction(() => window.log.some(([event]) => event === 'disconnect'));
      const told = await page.evaluate(() => window.log.filter(([event]) => event === 'rollcall_error' || event === 'disconnect'));
      assert.deepEqual(told.map(([event, what]) => [event, what]), [['rollcall_error', why], ['disconnect', 'transport close']]);
      assert.deepEqual(profile.faults, []);
    });
  }
});
