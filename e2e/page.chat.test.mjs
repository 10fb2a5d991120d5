// The page's chat, as people use it: several browsers, rooms, bad lines.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { io } from 'client-4.8';
import { serve, shot } from './lib/browser.mjs';
import { calm, finds, isLive, loses, narrow, shows, signIn, visitor } from './lib/pages.mjs';
import { startProxy } from './lib/proxy.mjs';
import { PATIENCE, until } from './lib/wait.mjs';

const CUT = { expected: [/WebSocket|ERR_CONNECTION|ERR_EMPTY_RESPONSE|Failed to load resource/] };

const message = (page) => page.getByLabel('Message', { exact: true });

async function say(page, text) {
  await message(page).fill(text);
  await message(page).press('Enter');
}

async function enter(page, room) {
  await page.getByLabel('Another room').fill(room);
  await page.getByRole('button', { name: 'Open' }).click();
}

// typing waits for the line about those who type, which goes after some seconds:
// meanwhile they type on.
async function typing(page, line, typeOn) {
  let typed = -Infinity;
  await until(async () => {
    if (Date.now() - typed > 500) {
      await typeOn();
      typed = Date.now();
    }
    return await page.locator('#typing').textContent() === line;
  }, line);
}

const said = (page, texts) => shows(page, '.log:visible .text', texts);
const notes = (page, texts) => shows(page, '.log:visible .note bdi', texts);
const members = (page, names) => shows(page, '#members li', names);

test('visitors chat, and see members, typing, arrivals and departures', async (t) => {
  const { url } = await serve();
  const ann = await visitor(t, url, 'Ann');
  const ben = await visitor(t, url, 'Ben');
  const cem = await visitor(t, url);
  for (const page of [ann, ben, cem]) await members(page, ['Ann', 'Ben', 'Guest']);
  await notes(ann, ['Ben came in']);

  await typing(ann, 'Ben is typing…', () => message(ben).pressSequentially('Hel'));
  await shows(ben, '#typing', ['']);
  await typing(ann, 'Ben and Guest are typing…', async () => {
    await message(ben).pressSequentially('l');
    await message(cem).pressSequentially('x');
  });
  await message(cem).fill('');
  await say(ben, 'Hello');
  await say(ann, 'Hi Ben');
  await say(cem, 'Who is there?');
  for (const page of [ann, ben, cem]) {
    await said(page, ['Hello', 'Hi Ben', 'Who is there?']);
    await shows(page, '.log .who bdi', ['Ben', 'Ann', 'Guest']);
  }
  await shows(ann, '.log .own .text', ['Hi Ben']);
  await shows(ann, '#typing', ['']);
  assert.equal(await message(ben).inputValue(), '');
  await shot(ann, 'chat');

  await ben.getByRole('button', { name: 'Rename' }).click();
  await ben.getByLabel('Your name').fill('Benno');
  await ben.getByRole('button', { name: 'Save' }).click();
  for (const page of [ann, ben, cem]) await members(page, ['Ann', 'Guest', 'Benno']);
  await ben.close();
  await notes(ann, ['Ben came in', 'Ben left', 'Benno came in', 'Benno left']);
  await members(ann, ['Ann', 'Guest']);
});

test('typing is a notice that goes by itself', async (t) => {
  const { url } = await serve();
  const [ann, ben] = [await visitor(t, url, 'Ann'), await visitor(t, url, 'Ben')];
  await members(ann, ['Ann', 'Ben']);
  await typing(ann, 'Ben is typing…', () => message(ben).pressSequentially('H'));
  await shows(ann, '#typing', ['']); // and Ben says nothing
  await said(ann, []);
});

test('rooms: their own people and messages, what is new, kept for the next visit', async (t) => {
  const { url } = await serve();
  const [ann, ben] = [await visitor(t, url, 'Ann'), await visitor(t, url, 'Ben')];
  await enter(ann, 'tea & biscuits/#1');
  await members(ann, ['Ann']);
  assert.equal(await ann.evaluate(() => document.activeElement.id), 'content', 'ready to talk');
  await say(ann, 'Milk first');
  await said(ann, ['Milk first']);
  await said(ben, []);
  await say(ben, 'Where is everybody?');
  await shows(ann, '#tabs .unread:visible', ['1 new']);

  await enter(ben, 'tea & biscuits/#1');
  await said(ben, ['Milk first']); // said before Ben came
  await members(ben, ['Ann', 'Ben']);
  await shows(ann, '.log:visible > li :is(.text, bdi)', ['Ann', 'Milk first', 'Ben came in']);

  await ann.getByRole('button', { name: 'lobby' }).first().click();
  await said(ann, ['Where is everybody?']);
  await shows(ann, '#tabs .unread:visible', []);

  await ann.goto('about:blank');
  await notes(ben, ['Ann left']);
  await ann.goto(url);
  await shows(ann, '#tabs li button:first-child bdi', ['lobby', 'tea & biscuits/#1']);
  await said(ann, ['Where is everybody?']);
  await notes(ben, ['Ann left', 'Ann came in']);
  await ann.getByRole('button', { name: 'Leave tea & biscuits' }).click();
  await notes(ben, ['Ann left', 'Ann came in', 'Ann left']);
  await shows(ann, '#tabs li button:first-child bdi', ['lobby']);
  assert.equal(await ann.locator('#tabs .close:visible').count(), 0, 'the last room stays');

  for (const [room, problem] of [['é'.repeat(60), null], ['rollcall: races', 'That room is for the races.']]) {
    await enter(ann, room);
    if (problem) await ann.getByRole('alert').getByText(problem).waitFor();
  }
  for (let i = 3; i <= 8; i++) await enter(ann, `room ${i}`);
  await enter(ann, 'one too many');
  await ann.getByRole('alert').getByText('Leave a room first').waitFor();
  assert.equal(await ann.locator('#tabs li').count(), 8);
});

test('all that others send is shown as text', async (t) => {
  const { url } = await serve();
  const ann = await visitor(t, url, 'Ann');
  await members(ann, ['Ann']);
  const evil = io(url, { transports: ['websocket'], forceNew: true });
  t.after(() => evil.disconnect());
  const markup = '<img src=x onerror=alert(1)>';
  await evil.timeout(PATIENCE).emitWithAck('join', { room: 'lobby', username: `${markup}\u202E` });
  await members(ann, ['Ann', markup]);
  await notes(ann, [`${markup} came in`]);
  await typing(ann, `${markup} is typing…`, () => evil.timeout(PATIENCE).emitWithAck('typing', { room: 'lobby' }));
  const texts = [`<script>alert(2)</script>${markup}`, 'a\n\n\n\n\n\nb', '\u202Egnp.exe', `Z${'\u0338'.repeat(500)}algo`, '[link](javascript:alert(3))', '\u200b\u3164'];
  for (const content of texts) await evil.timeout(PATIENCE).emitWithAck('message', { room: 'lobby', content });
  await evil.timeout(PATIENCE).emitWithAck('message', { room: 'lobby', content: 'W'.repeat(4000) });
  await evil.timeout(PATIENCE).emitWithAck('message', { room: 'lobby', content: '\n|'.repeat(2000) });
  await said(ann, [texts[0], 'a\n\nb', 'gnp.exe', 'Z\u0338\u0338\u0338algo', texts[4], 'W'.repeat(4000), '|\n'.repeat(2000).trim().slice(0, 3999)]);
  assert.equal(await ann.locator('.chat :is(img, script, a)').count(), 0);
  const tall = await ann.locator('.log .text').last().evaluate((text) => text.offsetHeight);
  assert.ok(tall < 300, `a message takes ${tall} pixels`);
  await narrow(ann);
  await shot(ann, 'chat-hostile', { fullPage: true });
});

test('a cut connection loses nothing that was said, and shows nothing twice', async (t) => {
  const { url, port } = await serve();
  const proxy = await startProxy(t, port);
  const ann = await visitor(t, proxy.url, 'Ann', CUT);
  const ben = await visitor(t, url, 'Ben');
  await members(ann, ['Ann', 'Ben']);
  await say(ben, 'one');
  await said(ann, ['one']);
  await loses(ann, proxy);
  await members(ben, ['Ben']);
  await say(ben, 'two');
  await say(ann, 'lost?');
  await say(ann, 'no');
  await shows(ann, '#unsent li', ['lost?', 'no']);
  assert.equal(await message(ann).inputValue(), '');
  await shot(ann, 'chat-offline');
  await finds(ann);
  await members(ann, ['Ben', 'Ann']);
  for (const page of [ann, ben]) await said(page, ['one', 'two', 'lost?', 'no']);
  await shows(ann, '#unsent li', []);
  await calm(ann);
});

test('a text whose acknowledgement is lost is sent again and stands there once', async (t) => {
  const { url, port } = await serve();
  const proxy = await startProxy(t, port);
  const ann = await visitor(t, proxy.url, 'Ann', CUT);
  const ben = await visitor(t, url, 'Ben');
  await members(ann, ['Ann', 'Ben']);
  proxy.mute(true);
  await say(ann, 'heard?');
  await said(ben, ['heard?']);
  await shows(ann, '#unsent li', ['heard?']);
  proxy.cut();
  proxy.mute(false);
  await shows(ann, '#unsent li', []);
  await say(ben, 'once');
  for (const page of [ann, ben]) await said(page, ['heard?', 'once']);
});

test('a refused text comes back into the field', async (t) => {
  const { url } = await serve();
  const ann = await visitor(t, url, 'Ann');
  await members(ann, ['Ann']);
  await ann.evaluate(() => document.getElementById('content').removeAttribute('maxlength'));
  await say(ann, 'x'.repeat(4001));
  await ann.getByRole('alert').getByText(/4,?000/).waitFor();
  assert.equal((await message(ann).inputValue()).length, 4001);
  await shows(ann, '#unsent li', []);
  await say(ann, 'shorter');
  await said(ann, ['shorter']);
  await calm(ann);
});

test('a server that begins anew, its message ids too, is followed', async (t) => {
  let own = await serve();
  const ann = await visitor(t, own.url, 'Ann', CUT);
  await members(ann, ['Ann']);
  await say(ann, 'before');
  await say(ann, 'still before');
  await said(ann, ['before', 'still before']);
  await own.stop();
  own = await serve({ PORT: String(own.port) });
  await isLive(ann);
  await members(ann, ['Ann']);
  await say(ann, 'after');
  await said(ann, ['before', 'still before', 'after']);
});

test('without a history to be had people can talk', async (t) => {
  const { url } = await serve();
  const expected = [/Failed to load resource.*(404|ERR_FAILED)/];
  const ann = await visitor(t, url, 'Ann');
  await members(ann, ['Ann']);
  await say(ann, 'anybody?');
  await said(ann, ['anybody?']);
  for (const [name, answer] of [
    ['Ben', (route) => route.fulfill({ status: 404, body: 'nothing' })],
    ['Cem', (route) => route.fulfill({ status: 200, body: '{"not":"a list"}' })],
    ['Dea', (route) => route.abort()],
  ]) {
    const page = await visitor(t, url, '', { expected });
    await page.profile.context.route('**/api/rooms/**', answer);
    await page.reload();
    await isLive(page);
    await signIn(page, name);
    await shows(ann, '#members li:last-child', [name]);
    await say(ann, `hello ${name}`);
    await said(page, [`hello ${name}`]);
  }
});

test('a keyboard and the small client are enough', async (t) => {
  const { url } = await serve();
  const lia = await visitor(t, url, 'Lia', { lite: true });
  assert.equal(await lia.evaluate(() => typeof window.io), 'undefined');
  const ben = await visitor(t, url, 'Ben');
  await members(lia, ['Lia', 'Ben']);
  await lia.getByLabel('Another room').focus();
  await lia.keyboard.type('nook');
  await lia.keyboard.press('Enter');
  await members(lia, ['Lia']);
  await enter(ben, 'nook');
  await members(lia, ['Lia', 'Ben']);
  await lia.keyboard.type('Hello from the keys');
  await typing(ben, 'Lia is typing…', async () => {
    await lia.keyboard.type('!');
    await lia.keyboard.press('Backspace');
  });
  await lia.keyboard.press('Enter');
  await said(ben, ['Hello from the keys']); // or he might be the first
  await say(ben, 'Hello');
  for (const page of [lia, ben]) await said(page, ['Hello from the keys', 'Hello']);
  // Back over the messages to the rooms, and out of this one.
  await lia.keyboard.press('Shift+Tab');
  assert.equal(await lia.evaluate(() => document.activeElement.getAttribute('role')), 'log');
  await lia.getByRole('button', { name: 'Leave nook' }).press('Enter');
  await members(ben, ['Ben']);
  assert.equal(await lia.evaluate(() => document.activeElement.querySelector('bdi').textContent), 'lobby');
});

test('a long talk stays short in the page', async (t) => {
  const { url } = await serve({ EVENTS_PER_SECOND: '1000', EVENTS_BURST: '1000' });
  const ann = await visitor(t, url, 'Ann');
  await members(ann, ['Ann']);
  const talker = io(url, { transports: ['websocket'], forceNew: true });
  t.after(() => talker.disconnect());
  talker.emit('join', { room: 'lobby', username: 'Talker' });
  for (let i = 1; i <= 450; i++) talker.emit('message', { room: 'lobby', content: `line ${i}` });
  await ann.getByText('line 450', { exact: true }).waitFor();
  assert.equal(await ann.locator('.log li').count(), 200);
  const atEnd = () => until(() => ann.locator('.log:visible').evaluate((log) => log.scrollHeight - log.scrollTop - log.clientHeight < 2), 'the newest line to be in view');
  await atEnd();
  // A phone's keyboard, and another room for a moment.
  const { height } = await ann.locator('.log').boundingBox();
  await ann.setViewportSize({ width: 1280, height: 1100 });
  await atEnd();
  await ann.setViewportSize({ width: 1280, height: 650 });
  await until(async () => (await ann.locator('.log').boundingBox()).height <= height, 'the log to be short again');
  await atEnd();
  await enter(ann, 'elsewhere');
  await ann.getByRole('button', { name: 'lobby' }).first().click();
  await ann.getByText('line 450', { exact: true }).waitFor();
  await atEnd();
  // Who reads further up is not torn away.
  await ann.locator('.log:visible').evaluate((log) => { log.scrollTop = 0; });
  talker.emit('message', { room: 'lobby', content: 'line 451' });
  await ann.getByText('line 451', { exact: true }).waitFor({ state: 'attached' });
  assert.ok(await ann.locator('.log:visible').evaluate((log) => log.scrollTop < 100));
});
