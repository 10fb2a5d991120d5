// Chromium for tests: one browser for each test file, a fresh profile for each
// visitor, and everything that should never happen in a page noted as a fault.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync } from 'node:fs';
import { after } from 'node:test';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { startServer } from './server.mjs';
import { PATIENCE } from './wait.mjs';

const SHOTS = fileURLToPath(new URL('../shots/', import.meta.url));

let launched;
const servers = [];

// browser is the file's; it is launched when it is first needed.
export const browser = () => (launched ??= chromium.launch({
  timeout: PATIENCE,
  executablePath: process.env.CHROMIUM ?? ['/usr/bin/chromium-headless-shell', '/usr/bin/chromium'].find(existsSync),
  // Fewer renderer processes take a sixth less processor time; origins stay apart.
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--renderer-process-limit=1', '--disable-site-isolation-trials',
    '--disable-background-networking', '--disable-component-update', '--disable-sync'],
}));

after(async () => {
  await (await launched)?.close();
  await Promise.all(servers.map((server) => server.exited() || server.stop()));
});

// serve starts a server of the test's own, which outlives the file's pages: they
// would complain about its end.
export async function serve(env) {
  const server = await startServer(env);
  servers.push(server);
  return server;
}

// cleanProfile is newProfile for pages in which nothing may go wrong until the
// test's end. The server must outlive them.
export async function cleanProfile(t, options) {
  const profile = await newProfile(t, options);
  t.after(() => assert.deepEqual(profile.faults, [], 'faults of the page'));
  return profile;
}

// newProfile is a visitor with an own browser profile until the test's end. Its
// pages' faults are in `faults`: errors, dialogs and violations of a
// Content-Security-Policy, except those that match an expected pattern.
export async function newProfile(t, { expected = [], ...options } = {}) {
  const context = await (await browser()).newContext(options);
  context.setDefaultTimeout(PATIENCE);
  t.after(() => context.close());
  const faults = [];
  const note = (text) => expected.some((pattern) => pattern.test(text)) || faults.push(text);
  await context.addInitScript(() => {
    addEventListener('securitypolicyviolation', (event) => {
      console.error(`policy violated: ${event.violatedDirective} ${event.blockedURI}`);
    });
  });
  context.on('page', (page) => {
    page.on('pageerror', (error) => note(`error: ${error.message}`));
    page.on('console', (message) => message.type() === 'error' && note(`console: ${message.text()}`));
    page.on('dialog', (dialog) => {
      note(`dialog: ${dialog.message()}`);
      dialog.dismiss();
    });
  });
  return {
    context,
    faults,
    close: () => context.close(),
    async open(url) {
      const page = await context.newPage();
      await page.goto(url);
      return page;
    },
  };
}

// shot writes what a page looks like to e2e/shots/, for people to look at, if
// SHOTS is set.
export async function shot(page, name, options = {}) {
  if (!process.env.SHOTS) return;
  mkdirSync(SHOTS, { recursive: true });
  await page.screenshot({ path: `${SHOTS}${name}.png`, animations: 'disabled', ...options });
}

// names are the rows of the list on a page, top to bottom.
export const names = (page) => page.locator('rollcall-online li .name').allTextContents();
