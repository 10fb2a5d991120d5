// The page at / on a server with AUTH_SECRET: it asks for a token, and works with one.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { io } from 'client-4.8';
import { cleanProfile, serve, shot } from './lib/browser.mjs';
import { isLive, narrow, shows, visitor } from './lib/pages.mjs';
import { FOREIGN_SECRET, jwt, SECRET, seconds } from './lib/tokens.mjs';
import { PATIENCE, until } from './lib/wait.mjs';

const KEY = 'the-key-of-this-test';
const EXPECTED = { expected: [/Failed to load resource|WebSocket connection to .* failed/] };
const NOT_ACCEPTED = 'The server does not accept this token, or no longer. Paste another one.';

const fresh = (env) => serve({ AUTH_SECRET: SECRET, API_KEY: KEY, ...env });

async function opened(t, url) {
  const profile = await cleanProfile(t, EXPECTED);
  const page = await profile.open(url);
  page.profile = profile;
  return page;
}

const asked = (page) => page.getByText('This server lets in only people with a token').waitFor();
const now = (page) => page.evaluate(() => dispatchEvent(new Event('online')));
const listed = (page, expected) => shows(page, 'rollcall-online .name', expected);

// listener is somebody in the lobby, of whom every event is kept.
async function listener(t, url) {
  const socket = io(url, { transports: ['websocket'], forceNew: true, auth: { token: jwt({ user: { id: 'l', name: 'Lis' } }) } });
  t.after(() => socket.disconnect());
  await socket.timeout(PATIENCE).emitWithAck('join', { room: 'lobby' });
  const heard = [];
  socket.onAny((...event) => heard.push(JSON.stringify(event)));
  return heard;
}

async function paste(page, token) {
  await page.getByRole('textbox', { name: 'Token' }).fill(token);
  await page.getByRole('button', { name: 'Connect' }).click();
}

test('it asks for a token, and with one everything works', async (t) => {
  const { url } = await fresh();
  const [ann, ben] = [await opened(t, url), await opened(t, url)];
  await asked(ann);
  await shows(ann, '#state-text', ['Waiting for a token']);
  await shows(ann, '[role=alert]:visible', ['Sign in to see who is online.']); // the list's own
  assert.equal(await ann.getByRole('button', { name: 'Join' }).count(), 0);
  await shot(ann, 'entry', { fullPage: true });
  await narrow(ann);
  await shot(ann, 'entry-narrow');

  // What is no token is not sent.
  await paste(ann, 'Ann');
  assert.match(await ann.getByRole('textbox', { name: 'Token' }).evaluate((field) => field.validationMessage), /not a token/);
  await paste(ann, jwt({ user: { id: 1, name: 'Ann' } }, { secret: FOREIGN_SECRET }));
  await ann.getByRole('alert').getByText(NOT_ACCEPTED, { exact: true }).first().waitFor();
  await asked(ann);

  await paste(ann, ` ${jwt({ user: { id: 1, name: 'Ann' } })}\n`);
  await isLive(ann);
  await ann.getByText('You are here as Ann').waitFor();
  assert.equal(await ann.getByRole('alert').count(), 0);
  assert.equal(await ann.getByRole('button', { name: 'Rename' }).count(), 0, 'the name is the token\'s');
  await listed(ann, ['Ann']);
  assert.equal(await ann.locator('rollcall-online li:has(.you:visible) .name').textContent(), 'Ann');

  await shows(ann, '#members li', ['Ann']);
  await paste(ben, jwt({ user: { id: 'ben', name: 'Ben' } }));
  await listed(ann, ['Ann', 'Ben']);
  await shows(ben, '#members li', ['Ann', 'Ben']);
  await ben.getByLabel('Message', { exact: true }).fill('Hello');
  await ben.keyboard.press('Enter');
  await shows(ann, '.log:visible .text', ['Hello']);
  await ann.getByLabel('Away', { exact: true }).check();
  await shows(ben, 'rollcall-online li:has(.away:visible) .name', ['Ann']);
  await shot(ann, 'entry-in', { fullPage: true });

  // The token is kept for this tab, and the history is there again.
  await ann.reload();
  await ann.getByText('You are here as Ann').waitFor();
  await shows(ann, '.log:visible .text', ['Hello']);

  // Hidden stays hidden: not even the moment of a reload shows her.
  await ann.getByLabel('Hidden', { exact: true }).check();
  await listed(ben, ['Ben']);
  const heard = await listener(t, url);
  await ann.reload();
  await ann.getByText('You are here as Ann').waitFor();
  await isLive(ann);
  await until(() => ann.locator('#status [value=hidden]').isChecked(), 'hidden to be chosen');
  await ben.getByLabel('Message', { exact: true }).fill('Anybody?');
  await ben.keyboard.press('Enter');
  await until(() => heard.some((event) => event.includes('Anybody?')), 'what was said last');
  assert.deepEqual(heard.filter((event) => event.includes('"Ann"')), []);
  await ann.getByLabel('Active', { exact: true }).check();
  await listed(ben, ['Ben', 'Lis', 'Ann']);

  await ann.getByRole('button', { name: 'Leave', exact: true }).click();
  await asked(ann);
  await listed(ben, ['Ben', 'Lis']);
  await listed(ann, []);
  await ann.reload();
  await asked(ann);
});

test('a token that ends: the page asks for the next one', async (t) => {
  const { url } = await fresh();
  const ann = await opened(t, url);
  await asked(ann);
  await paste(ann, jwt({ user: { id: 1, name: 'Ann' }, exp: seconds() + 5 }));
  await ann.getByText('You are here as Ann').waitFor();
  await until(async () => (await now(ann), ann.getByText('This server lets in').isVisible()), 'the form');
  await ann.getByRole('alert').getByText(NOT_ACCEPTED, { exact: true }).first().waitFor();
  await paste(ann, jwt({ user: { id: 1, name: 'Ann' } }));
  await ann.getByText('You are here as Ann').waitFor();
  await listed(ann, ['Ann']);
  assert.equal(await ann.getByRole('alert').count(), 0);
});

test('signed out everywhere: the token is forgotten', async (t) => {
  const { url } = await fresh();
  const ann = await opened(t, url);
  await asked(ann);
  await paste(ann, jwt({ user: { id: 1, name: 'Ann' } }));
  await ann.getByText('You are here as Ann').waitFor();
  await listed(ann, ['Ann']);
  await fetch(`${url}/api/users/1`, { method: 'DELETE', headers: { Authorization: `Bearer ${KEY}` } });
  await asked(ann);
  await ann.reload();
  await asked(ann);
});

test('guests look on, and a token lists them', async (t) => {
  const { url } = await fresh({ ALLOW_GUESTS: 'true' });
  const socket = io(url, { transports: ['websocket'], forceNew: true, auth: { token: jwt({ user: { id: 9, name: 'Eve' } }) } });
  t.after(() => socket.disconnect());
  const guest = await visitor(t, url, '', EXPECTED);
  await listed(guest, ['Eve']);
  await guest.getByLabel('Your name').fill('Gus');
  await guest.getByRole('button', { name: 'Join' }).click();
  await asked(guest);
  await paste(guest, jwt({ user: { id: 2, name: 'Gus' } }));
  await guest.getByText('You are here as Gus').waitFor();
  await listed(guest, ['Gus', 'Eve']);
  await until(() => guest.evaluate(() => document.querySelector('#entry').hidden), 'the form to go');
});
