// The element's samples.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Samples } from './migrating/samples.mjs';
import { joined, serve, shows, Fixture } from './migrating/fixture.mjs';

const fixture = new Fixture();
const samples = new Samples('reference/element.md');
before(() => fixture.start());
after(() => fixture.stop());

const ada = { id: 7, name: 'Ada' };
const bob = { id: 8, name: 'Bob' };

describe('element.md', { concurrency: 2 }, () => {
  test('element: registers and draws', async (t) => {
    const server = await serve(t);
    await joined(t, server, bob);
    const page = await fixture.open(t, { server, client: null, body: samples.take('element', server), scripts: [] });
    await shows(page, 'document.querySelector("rollcall-online").users.map(user => user.name)', ['Bob', 'Ada']);
  });

  test('change: the number in the title', async (t) => {
    const server = await serve(t);
    const page = await fixture.open(t, {
      server, client: null, scripts: [samples.take('change', server)],
      body: `<script src="${server.url}/rollcall.js" defer></script><rollcall-online user='${JSON.stringify(ada)}'></rollcall-online>`,
    });
    await shows(page, 'document.title', '(1) A page');
    await joined(t, server, bob);
    await shows(page, 'document.title', '(2) A page');
  });
});

test('every sample was run', () => assert.deepEqual(samples.unread(), []));

test('a name that is missing, double or unknown is noticed', () => {
  assert.throws(() => new Samples('x', () => '```js\n1;\n```\n'), /without a name/);
  assert.throws(() => new Samples(['x', 'y'], () => '```js a\n1;\n```\n'), /two blocks named a/);
  const one = new Samples('x', () => '```js before\n0;\n```\n```js a\nio("https://rollcall.example.com")\n```\n```ruby\nputs 1\n```\n');
  assert.deepEqual(one.unread(), ['a']);
  assert.throws(() => one.take('b', { url: 'x' }), /no sample named b/);
  assert.equal(one.take('a', { url: 'http://here' }), 'io("http://here")\n');
  assert.deepEqual(one.unread(), []);
});
