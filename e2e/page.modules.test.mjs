// The page's modules that need no browser.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Chart } from '../public/js/chart.js';
import { ago, hueOf, initialsOf, nameOf, plain, prose, sinceOf } from '../public/js/person.js';
import { Room } from '../public/js/room.js';
import { Roster, keyOf } from '../public/js/roster.js';
import { tokenFrom, userOf } from '../public/js/token.js';

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
  // cost is in µs of processor time, the least of three.
  const cost = (user) => Math.min(...[1, 2, 3].map(() => {
    const roster = new Roster();
    const before = process.cpuUsage();
    roster.replace(Array.from({ length: 10_000 }, (_, i) => user(i)));
    for (let i = 0; i < 5000; i++) roster.remove(user(i));
    assert.equal(roster.size, 5000);
    return process.cpuUsage(before).user;
  }));
  const [alike, others] = [cost(() => ({ name: 'Guest' })), cost((i) => ({ name: `Guest ${i}` }))];
  assert.ok(alike < 10 * others, `quadratic: ${alike} µs, others ${others} µs`);
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

test('statuses come with the users', () => {
  const roster = new Roster();
  const away = () => roster.away().map((user) => user.id);
  roster.replace([{ id: 1 }, { id: '2' }, { id: 'constructor' }, { name: 'no id' }, { id: '__proto__' }], JSON.parse('{"1":"away","2":"away","__proto__":"away"}'));
  assert.deepEqual(away(), [1, '2', '__proto__']);
  roster.update({ id: 1, name: 'back' }, { status: 'active' });
  roster.update({ id: 2, name: 'still' }, { status: 'away' });
  roster.add({ id: 3 }, { status: 'away' });
  roster.add({ id: 4 });
  assert.deepEqual(away(), [2, '__proto__', 3]);
  roster.update({ id: 3 }); // nothing said: active
  roster.remove({ id: '__proto__' }, { reason: 'hidden' });
  assert.deepEqual(away(), [2]);
  for (const odd of [undefined, null, 'away', 5, [], { 2: 'asleep' }]) {
    roster.replace([{ id: 2 }], odd);
    assert.deepEqual(away(), [], `${JSON.stringify(odd)} says of nobody that they are away`);
  }
});

test('prose keeps lines, and nothing that breaks them', () => {
  assert.equal(prose('  a\r\nb\u2028c  '), 'a\nb\nc');
  assert.equal(prose('a\n\n\n\n\nb'), 'a\n\nb');
  assert.equal(prose(`x\u202e${'\u0301'.repeat(50)}`), 'x \u0301\u0301\u0301');
  for (const odd of [null, 5, {}, ['a'], '', ' \n ']) assert.equal(prose(odd), '');
});

// texts are the lines of a room, its notes in brackets.
const texts = (room) => room.lines.map((line) => line.text ?? `(${line.note})`);
const message = (id, content, second = id) => ({ id, username: 'Ann', content, timestamp: new Date(Date.UTC(2026, 0, 1, 0, 0, second)).toISOString() });

test('a room puts what it hears and what it is told later in one order, each once', () => {
  const room = new Room('lobby');
  room.came({ username: 'Ben', users: ['Ann', 'Ben'] });
  room.hear(message(3, 'three'));
  room.remember([message(1, 'one'), message(2, 'two'), message(3, 'three')], 0);
  room.came({ username: 'Guest', users: ['Ann', 'Ben', 'Guest'] }); // goes unmentioned
  room.hear(message(4, 'four'));
  room.hear(message(4, 'four'));
  assert.deepEqual(texts(room), ['one', 'two', 'three', '(Ben came in)', 'four']);
  assert.equal(room.unread, 2);
  // After a cut: what was missed, and one that was heard meanwhile.
  room.hear(message(7, 'seven'));
  room.remember([4, 5, 6].map((id) => message(id, ['four', 'five', 'six'][id - 4])), 4);
  assert.deepEqual(texts(room), ['one', 'two', 'three', '(Ben came in)', 'four', 'five', 'six', 'seven']);
  for (const odd of [null, {}, { id: '9', content: 'x' }, { id: 9 }, { id: 9, content: ' ' }, 'x']) room.hear(odd);
  assert.equal(room.lines.length, 8);
});

test('ids that begin anew are of a server that forgot, and nothing is lost here', () => {
  const room = new Room('lobby');
  room.remember([message(1, 'one'), message(2, 'two')], 0);
  room.hear(message(1, 'anew', 30));
  room.hear(message(2, 'and on', 31));
  room.remember([message(1, 'anew', 30), message(2, 'and on', 31)], 2);
  room.remember([], 2);
  room.hear(message(1, 'and anew', 40));
  room.hear(message(1, 'without a history', 50));
  assert.deepEqual(texts(room), ['one', 'two', 'anew', 'and on', 'and anew', 'without a history']);
});

test('a room keeps two hundred lines and shows few names that type', () => {
  const room = new Room('lobby');
  room.remember(null, 0);
  const shown = new Set();
  room.addEventListener('line', ({ detail }) => shown.add(detail.line));
  room.addEventListener('drop', ({ detail }) => assert.ok(shown.delete(detail)));
  for (let i = 1; i <= 1000; i++) {
    room.hear(message(i, `${i}`));
    room.went({ username: `u${i}`, users: [] });
    room.types({ username: `t${i}` });
  }
  assert.equal(room.lines.length, 200);
  assert.deepEqual([...shown], room.lines);
  assert.equal(room.typists.length, 20);
  room.types({ username: { no: 'name' } });
  room.away();
  assert.deepEqual([room.typists, room.members], [[], []]);
  // While the history is awaited, notes wait too, and not without end.
  const waiting = new Room('attic');
  for (let i = 0; i < 1000; i++) waiting.came({ username: `u${i}`, users: [] });
  assert.equal(waiting.lines.length, 0);
  waiting.remember([], 0);
  assert.equal(waiting.lines.length, 200);
});

test('the user of a token is read, whatever made the token', () => {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const jwt = (claims) => `${part({ alg: 'HS256' })}.${part(claims)}.c2lnbmF0dXJl`;
  const rails = (value) => `${Buffer.from(JSON.stringify(value)).toString('base64')}--0123456789abcdef`;
  const user = { id: 7, name: 'Ann <é>' };
  const dashes = { id: 7, name: 'ϾϾ'.repeat(9) };
  assert.match(part(dashes), /--/);
  for (const [token, expected] of [
    [jwt({ user, exp: 1 }), user],
    [jwt({ sub: '7', exp: 1 }), { id: '7' }],
    [jwt({ rollcall: { user }, sub: 'x' }), user],
    [jwt({ rollcall: { scope: 'acme' }, sub: 'x' }), { id: 'x' }],
    [rails(user), user],
    [rails(7), { id: 7 }],
    [rails({ _rails: { message: Buffer.from(JSON.stringify(user)).toString('base64'), exp: null, pur: 'rollcall' } }), user],
    [rails({ _rails: { data: user, pur: 'rollcall' } }), user],
    [rails({ rollcall: { user } }), user],
    // Any base64url may contain "--", as one signature in a hundred does.
    [`${jwt({ user })}--0a`, user], [`${jwt({ sub: '7' })}--0a`, { id: '7' }],
    [jwt({ user: dashes }), dashes],
    [`${part(dashes)}--0123456789abcdef`, dashes],
    [jwt({ exp: 1 }), null], ['', null], ['Ann', null], ['a.b.c', null], ['a--b', null], [part(user), null], [rails(null), null], [rails({ name: 'x' }), null],
  ]) assert.deepEqual(userOf(token), expected, token);
});

test('a token of the page is used first, then the address', async () => {
  assert.deepEqual(await tokenFrom({ token: 'one' }, false), { token: 'one' });
  assert.deepEqual(await tokenFrom({ token: 'one' }, true), { token: 'one' });
  assert.deepEqual(await tokenFrom({ token: 'one', url: 'http://127.0.0.1:1/' }, false), { token: 'one' });
  assert.equal((await tokenFrom({ token: 'one', url: 'http://127.0.0.1:1/' }, true)).problem.error, 'no_token');
});
