// The page's modules that need no browser.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Chart } from '../public/js/chart.js';
import { ago, hueOf, initialsOf, nameOf, plain, sinceOf } from '../public/js/person.js';
import { Roster, keyOf } from '../public/js/roster.js';

test('a name is found in whatever an app registers', () => {
  for (const [user, name] of [
    [{ name: 'Ann' }, 'Ann'],
    [{ name: '', nickname: ' speedy  one ' }, 'speedy one'],
    [{ username: 'm.tanaka', id: 3 }, 'm.tanaka'],
    [{ email: 'jane@example.org' }, 'jane'],
    [{ email: '@example.org' }, '@example.org'],
    [{ name: 42 }, '42'],
    [{ name: { first: 'x' }, id: 7 }, 'User 7'],
    [{ id: 'a'.repeat(50) }, 'User aaaaaaaaaaa…'],
    [{}, 'Someone'], [null, 'Someone'], ['Ann', 'Ann'], [[], 'Someone'],
    [{ name: '\u200b\u2800\u3164' }, 'Someone'],
    [{ name: 'a\u202eb\nc\0d\ud800e' }, 'a b c d e'],
    [{ name: '👩‍👩‍👧' }, '👩‍👩‍👧'],
    [{ name: 'x'.repeat(1e6) }, `${'x'.repeat(59)}…`],
  ]) assert.equal(nameOf(user), name);
  assert.equal(Array.from(plain(`e${'\u0301'.repeat(5000)}`)).length, 4);
});

test('initials are one or two whole signs', () => {
  for (const [name, initials] of [
    ['Ann', 'A'], ['ann de la miller', 'AM'], ['m.tanaka', 'MT'], ['山田太郎', '山'], ['👩‍👩‍👧 The Family', '👩‍👩‍👧'],
    ['<img src=x>', 'IS'], ['!!!', '!'], ['4 you', '4Y'], ['straße', 'S'],
  ]) assert.equal(initialsOf(name), initials);
});

test('since is taken where it is sensible', () => {
  const now = Date.UTC(2026, 0, 1);
  assert.equal(sinceOf({ since: now - 5 }, now), now - 5);
  assert.equal(sinceOf({ since: now / 1000 - 60 }, now), now - 60_000);
  assert.equal(sinceOf({ since: '2025-12-31T00:00:00Z' }, now), now - 86_400_000);
  assert.equal(sinceOf({ since: now + 60_000 }, now), now, 'a clock that is a little fast');
  for (const since of [undefined, null, '', 'x', 0, -1, NaN, 1e300, now + 1e9, {}, [], true]) {
    assert.ok(Number.isNaN(sinceOf({ since }, now)), `${since} says nothing`);
  }
  assert.ok(Number.isNaN(sinceOf(null, now)));
  assert.deepEqual([0, 59_999, 60_000, 3_599_999, 3_600_000, 49 * 3_600_000].map(ago), ['just now', 'just now', '1 min', '59 min', '1 h', '2 days']);
});

test('a colour is stable and they are spread', () => {
  assert.equal(hueOf('id 1'), hueOf('id 1'));
  const hues = new Set(Array.from({ length: 500 }, (_, i) => hueOf(`id ${i}`)));
  assert.equal(hues.size, 24);
});

const shown = (roster) => roster.users().map((user) => user.name);

test('increments build upon a whole list, in order of joining', () => {
  const roster = new Roster();
  roster.add({ id: 9, name: 'too early' });
  assert.equal(roster.size, 0);
  roster.replace([{ id: 1, name: 'a' }, { id: '2', name: 'b' }, { id: 3, name: 'c' }]);
  assert.ok(roster.update({ id: 2, name: 'B' }), '2 and "2" are one user');
  assert.ok(roster.remove({ id: 1, name: 'whatever' }));
  assert.ok(roster.add({ id: 1, name: 'a again' }));
  assert.deepEqual(shown(roster), ['B', 'c', 'a again']);
  assert.equal(roster.remove({ id: 77 }), false, 'does not fit');
  assert.equal(roster.update({ id: 77 }), false);
  assert.equal(roster.update({ name: 'no id' }), false, 'whose data was that?');
  assert.equal(roster.size, 3);
});

test('users without a trustworthy id are told apart by count', () => {
  const roster = new Roster();
  roster.replace([{ name: 'Guest' }, { name: 'Guest' }, { id: '', name: 'Guest' }]);
  roster.add({ name: 'Guest' });
  assert.equal(roster.size, 4);
  for (const left of [3, 2, 1]) {
    assert.ok(roster.remove({ name: 'Guest' }));
    assert.equal(roster.size, left);
  }
  assert.equal(roster.remove({ name: 'Guest' }), false);
  // What a browser makes of 9007199254740992 and …993.
  roster.replace([{ id: 9007199254740992, name: 'x' }, { id: 9007199254740992, name: 'y' }]);
  assert.deepEqual(shown(roster), ['x', 'y']);
  assert.equal(keyOf({ id: -0 }), keyOf({ id: 0 }));
  assert.notEqual(keyOf({ id: null }), keyOf({ id: 'null' }));
});

test('a new whole list keeps the time somebody was first seen', () => {
  const roster = new Roster();
  roster.replace([{ id: 1 }], undefined, 1000);
  roster.add({ id: 2 }, undefined, 2000);
  roster.fresh = false; // reconnected
  roster.replace([{ id: 2 }, { id: 3 }, { id: 1 }], undefined, 3000);
  assert.deepEqual([...roster.entries()].map(({ user, seen, early }) => [user.id, seen, early]), [[2, 2000, false], [3, 3000, false], [1, 1000, true]]);
  roster.replace('not a list');
  assert.equal(roster.size, 0);
});

test('ten thousand users that look alike cost no more than others', () => {
  const roster = new Roster();
  const start = performance.now();
  roster.replace(Array.from({ length: 10_000 }, () => ({ name: 'Guest' })));
  for (let i = 0; i < 5000; i++) roster.remove({ name: 'Guest' });
  assert.equal(roster.size, 5000);
  assert.ok(performance.now() - start < 2000, 'quadratic');
});

test('the chart shows the window in steps and keeps few points', () => {
  const paths = {};
  const path = (name) => ({ setAttribute: (_, d) => { paths[name] = d; } });
  const chart = new Chart({ querySelector: (name) => path(name) });
  assert.equal(chart.draw(0), null);
  chart.add(1, 0);
  chart.add(1, 3000);
  chart.add(3, 5000);
  chart.add(2, 5100); // too close to the last: in its place
  assert.deepEqual(chart.draw(10_000), { low: 1, high: 2, span: 10_000 });
  assert.match(paths['.line'], /^M0\.0 [\d.]+H150\.0V[\d.]+H300$/);
  for (let at = 10_000; at < 700_000; at += 250) chart.add(at / 250, at);
  const { low, high, span } = chart.draw(700_000);
  assert.deepEqual([span, high], [300_000, 2799]);
  assert.ok(low >= 1598, `${low} is older than the window`);
});
