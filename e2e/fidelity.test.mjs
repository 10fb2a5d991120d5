// User objects arrive as they were sent: every letter, every digit.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { connect, covering } from './lib/clients.mjs';
import { PollSession, WsSession } from './lib/raw.mjs';
import { onReference, startTarget } from './lib/target.mjs';

const names = ['Zoë', '山田 太郎', 'Ωmega', 'שלום', '😀', '👩‍🚀 & 🏎️', 'a\u2028b\u2029c', 'tab\tand\nline', '"quoted" \\ /', '\u0000\u001f', 'ﬁ\ufeff', '\u007f\u0080\u00ff'];

// The Node server garbles or loses these with 1.x clients over polling: they
// encode UTF-8 twice and expect the same. Rollcall is right with them too.
const garbledByNode = ({ version, mode }) => onReference && version === '1.7.4' && mode !== 'websocket';

describe('unicode in both directions', { concurrency: 4 }, () => {
  for (const kind of covering.filter((kind) => !garbledByNode(kind))) {
    test(`client ${kind.version} ${kind.mode}`, async (t) => {
      const server = await startTarget(t);
      const [client, other] = await Promise.all([connect(t, server.url, kind), connect(t, server.url, { version: '4.8.4', mode: 'websocket' })]);
      const mine = { id: 'mine', names };
      const theirs = { id: 'Тест', names: names.toReversed(), [names[1]]: true };
      assert.deepEqual(await client.ask('register', mine), { ok: true });
      assert.deepEqual(await other.ask('register', theirs), { ok: true });
      for (const one of [client, other]) {
        await one.listed('mine', 'Тест');
        assert.deepEqual(one.list, [mine, theirs]);
        assert.deepEqual(one.of('add_user'), [[mine], [theirs]]);
      }
    });

    // Over polling alone an event is surely sent as the only one of a payload
    // and as one of several.
    test(`each name by itself, client ${kind.version} ${kind.mode}`, async (t) => {
      const server = await startTarget(t);
      const client = await connect(t, server.url, kind);
      for (const name of names) {
        await client.ask('register', { id: 'mine', name });
        await client.until(() => client.list?.[0].name === name, `the name ${JSON.stringify(name)}`);
      }
    });
  }
});

describe('the size of a user object', { concurrency: 4 }, () => {
  const sized = (bytes, letter) => {
    const frame = JSON.stringify({ id: 'big', pad: '' }).length;
    const count = Math.floor((bytes - frame) / Buffer.byteLength(letter));
    const odd = (bytes - frame) % Buffer.byteLength(letter);
    const user = { id: 'big', pad: letter.repeat(count) + 'x'.repeat(odd) };
    assert.equal(Buffer.byteLength(JSON.stringify(user)), bytes);
    return user;
  };
  for (const kind of covering.filter((kind) => !garbledByNode(kind))) {
    test(`4,096 bytes and one more, client ${kind.version} ${kind.mode}`, async (t) => {
      const server = await startTarget(t);
      const [client, other] = await Promise.all([connect(t, server.url, kind), connect(t, server.url, { version: '4.8.4', mode: 'websocket' })]);
      for (const letter of ['x', 'é', '😀']) {
        const user = sized(4096, letter);
        assert.deepEqual(await client.ask('register', user), { ok: true });
        for (const one of [client, other]) {
          await one.until(() => one.list?.[0].pad === user.pad, 'the large user');
        }
        const refusal = await client.ask('register', sized(4097, letter));
        assert.equal(refusal.ok, false);
      }
      assert.equal(other.of('update_user').length, 2);
    });
  }
});

// Node parses and writes anew, so this is a promise of Rollcall alone.
const exact = '{ "id":9007199254740993,"one":1.0, "e":1E+2,"zero":-0,"big":123456789012345678901234567890.10,'
  + '"name":"Zoë 😀 \\u00e9 \\/ \\ud83d\\ude00","z":{"b":[ ],"a":{}},"dup":1,"dup":2,"__proto__":null}';

if (!onReference) {
  const sessions = {
    'EIO4 WebSocket': (server) => WsSession.open(server, { eio: 4 }),
    'EIO3 WebSocket': (server) => WsSession.open(server, { eio: 3 }),
    'EIO4 polling': (server) => PollSession.open(server, { eio: 4 }),
    'EIO3 polling': (server) => PollSession.open(server, { eio: 3, query: { t: '1' } }), // as browsers: bytes
    'EIO3 polling as text': (server) => PollSession.open(server, { eio: 3, query: { b64: '1' } }),
  };
  // In EIO 3 payloads of text, letters past ASCII are escaped for 1.x clients,
  // which decode UTF-8 twice there.
  const escaped = (text) => text.replace(/[^\x00-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);

  describe('the raw wire', () => {
    for (const [by, open] of Object.entries(sessions)) {
      test(`a user object sent by ${by} is kept byte for byte`, async (t) => {
        const server = await startTarget(t);
        const sender = await open(server);
        t.after(() => sender.close());
        for (const [to, openOther] of Object.entries(sessions)) {
          const watcher = await openOther(server);
          t.after(() => watcher.close());
          await sender.send(`42["unregister"]`);
          await sender.send(`42["register",${exact}]`);
          await watcher.until(() => watcher.events('add_user').length > 0, `add_user on ${to}`);
          await watcher.until(() => (watcher.events('online_users').at(-1) ?? '[]') !== '[]', `the list on ${to}`);
          const expected = to === 'EIO3 polling as text' ? escaped(exact) : exact;
          assert.equal(watcher.events('add_user').at(-1).toLowerCase(), expected.toLowerCase());
          assert.equal(watcher.events('online_users').at(-1).toLowerCase(), `[${expected.toLowerCase()}]`);
          watcher.close();
        }
      });
    }
  });
}
