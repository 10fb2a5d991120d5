// Chromium for tests: one browser a test file, a fresh profile a visitor, and
// everything that should never happen in a page noted as a fault.
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const SHOTS = fileURLToPath(new URL('../shots/', import.meta.url));

export function launchBrowser() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
}

// newProfile is somebody with a browser of their own. Its pages' faults are in
// `faults`: errors, dialogs and violations of a Content-Security-Policy, except
// those that match an expected pattern.
export async function newProfile(browser, { expected = [], ...options } = {}) {
  const context = await browser.newContext(options);
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

// shot writes what a page looks like to e2e/shots/, for people to look at.
export async function shot(page, name, options = {}) {
  mkdirSync(SHOTS, { recursive: true });
  await page.screenshot({ path: `${SHOTS}${name}.png`, animations: 'disabled', ...options });
}

// names are the rows of the list on a page, top to bottom.
export const names = (page) => page.locator('rollcall-online li .name').allTextContents();
