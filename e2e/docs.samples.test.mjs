// The samples of README.md, the first tutorial and the emitter: each shows what
// the text around it says. Those of other documents are in migrating*.test.mjs.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { createClient } from 'redis';
import { names } from './lib/browser.mjs';
import { startRedis } from './lib/redis.mjs';
import { SECRET, startAuth } from './lib/tokens.mjs';
import { Samples } from './migrating/samples.mjs';
import { atEnd, joined, Peer, says, serve, shows, Fixture } from './migrating/fixture.mjs';

const fixture = new Fixture();
const readme = new Samples('../README.md');
const tutorial = new Samples('tutorial/first-list.md');
const fromApp = new Samples('how-to/call-from-your-app.md');
before(() => fixture.start());
after(() => fixture.stop());

const bob = { id: 8, name: 'Bob' };

// folder is a place for a test's files.
function folder(t) {
  const path = mkdtempSync(join(tmpdir(), 'rollcall-sample-'));
  atEnd(t, async () => rmSync(path, { recursive: true }));
  return path;
}

describe('README.md', { concurrency: 2 }, () => {
  test('element: the list in any page', async (t) => {
    const server = await serve(t);
    await joined(t, server, bob);
    const page = await fixture.open(t, { server, client: null, body: readme.take('element', server), scripts: [] });
    await page.waitForFunction('document.querySelector("rollcall-online").users.length === 2');
    assert.deepEqual(await names(page), ['Ada', 'Bob'], 'the visitor first');
  });

  test('client: the list in the console', async (t) => {
    const server = await serve(t);
    const page = await fixture.open(t, { server, scripts: [readme.take('client', server)] });
    await says(page, 'online: [Object]');
    await (await joined(t, server, bob)).sees(7, 8);
  });
});

describe('first-list.md', { concurrency: 2 }, () => {
  const list = 'Array.from(document.querySelectorAll("li"), (row) => row.textContent)';

  test('first-list: a file, opened by several people', async (t) => {
    const server = await serve(t);
    const file = join(folder(t), 'list.html');
    writeFileSync(file, tutorial.take('first-list', server));
    const open = async (name) => {
      const page = await fixture.open(t, { server, client: null, scripts: [] });
      await page.goto(`${pathToFileURL(file)}#${name}`);
      return page;
    };
    const ada = await open('Ada');
    const bobs = await open('Bob');
    await shows(bobs, list, ['Ada', 'Bob']);
    await shows(ada, list, ['Ada', 'Bob']);
    const second = await open('Ada');
    await shows(second, list, ['Ada', 'Bob']);
    await ada.close();
    await shows(second, list, ['Ada', 'Bob']);
    await second.close();
    await shows(bobs, list, ['Bob']);
  });

  test('make-token, with-token: the user of the token is online', async (t) => {
    const server = await startAuth({ after: (end) => atEnd(t, end) });
    const script = join(folder(t), 'token.mjs');
    writeFileSync(script, tutorial.take('make-token', server));
    const token = execFileSync(process.execPath, [script, SECRET, 'Ada'], { encoding: 'utf8' }).trim();
    const page = await fixture.open(t, { server, scripts: [tutorial.take('with-token', server).replace('THE TOKEN', token), 'let drawn; socket.on("online_users", (users) => { drawn = users; });'] });
    await shows(page, 'drawn', [{ id: 'Ada', name: 'Ada' }]);
  });
});

test('emitter: everybody, a user, one connection, all but a user', async (t) => {
  const redis = await startRedis();
  const redisClient = createClient({ url: redis.url });
  atEnd(t, redis.stop); // last
  await redisClient.connect();
  atEnd(t, async () => redisClient.destroy());
  const server = await serve(t, { REDIS_URL: redis.url });
  const five = await joined(t, server, { id: 5 });
  const other = new Peer(t, server);
  await other.does('sync');
  const code = fromApp.take('emitter', server).replace('"@socket.io/redis-emitter"', JSON.stringify(import.meta.resolve('@socket.io/redis-emitter')));
  const run = join(folder(t), 'emit.mjs');
  writeFileSync(run, `export default async (redisClient, socketId) => {\n${code.replace(/^import (.*) from (.*);/, 'const $1 = await import($2);')}\n}`);
  await (await import(pathToFileURL(run))).default(redisClient, other.socket.id);
  const said = (peer) => peer.of('notice').map(([{ text }]) => text);
  await other.hears('notice', ({ text }) => text === 'to everybody but one user');
  assert.deepEqual(said(other), ['to everybody', 'to one connection', 'to everybody but one user']);
  await five.hears('notice', ({ text }) => text.startsWith('to all tabs'));
  assert.deepEqual(said(five), ['to everybody', 'to all tabs of the user registered with id 5 or "5"']);
});

for (const samples of [readme, tutorial, fromApp]) {
  test(`every sample of ${samples.docs} was run`, () => assert.deepEqual(samples.unread(), []));
}
