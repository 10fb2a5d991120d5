// Tokens, made as applications make them: JWTs, and messages of Rails' own
// MessageVerifier by Ruby. All are remembered, so that a log can be searched.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { promisify } from 'node:util';
import { startTarget } from './target.mjs';
import { PATIENCE } from './wait.mjs';

export const SECRET = 'the secret that these tests sign with';
export const OLD_SECRET = 'what it was before and is no more';
export const FOREIGN_SECRET = 'a secret that only somebody else has';

// What no log, metric or answer may have in it.
const confidential = new Set([SECRET, OLD_SECRET, FOREIGN_SECRET]);

const base64url = (text) => Buffer.from(text).toString('base64url');
export const seconds = () => Math.floor(Date.now() / 1000);

// jwt signs claims, for ten minutes unless they say otherwise.
export function jwt(claims, { secret = SECRET, header = { alg: 'HS256', typ: 'JWT' }, digest = 'sha256' } = {}) {
  const text = [header, { exp: seconds() + 600, ...claims }].map((part) => base64url(JSON.stringify(part))).join('.');
  return remember(`${text}.${createHmac(digest, secret).update(text).digest('base64url')}`);
}

// unsigned is a JWT that says of itself that it needs no signature.
export const unsigned = (claims) => remember(`${[{ alg: 'none' }, { exp: seconds() + 600, ...claims }].map((part) => base64url(JSON.stringify(part))).join('.')}.`);

// ruby runs Ruby with Rails' ActiveSupport and resolves with the array that it
// leaves: tokens.
export async function ruby(expressions, { given = '', env = {} } = {}) {
  const script = `require 'active_support/all'\nrequire 'json'\n${given}\nputs JSON.generate([${expressions.join(',\n')}])\n`;
  const { stdout } = await promisify(execFile)('ruby', ['-Eutf-8', '-e', script], {
    timeout: 3 * PATIENCE, env: { PATH: process.env.PATH, LANG: 'C.UTF-8', SECRET, OLD_SECRET, FOREIGN_SECRET, ...env },
  }).catch((failure) => {
    throw new Error(`this needs Ruby with ActiveSupport (Debian's ruby-activesupport): ${failure.stderr || failure}`);
  });
  return JSON.parse(stdout).map(remember);
}

export function remember(token) {
  confidential.add(token);
  return token;
}

// leaks are the confidential texts that another text has, whole or a part of
// which somebody could guess the rest: a signature, or sixteen characters.
export function leaks(text) {
  const found = [];
  for (const secret of confidential) {
    for (let at = 0; at + 16 <= secret.length; at += 8) {
      // All JWTs of a kind begin alike: that part says nothing of one.
      const piece = secret.slice(at, at + 16);
      if (secret.startsWith('ey') && at < secret.indexOf('.')) continue;
      if (text.includes(piece)) {
        found.push(secret);
        break;
      }
    }
  }
  return found;
}

// startAuth starts a server with a secret for the test t, at whose end neither
// its log nor its metrics may have a word of what is confidential.
export async function startAuth(t, env = {}) {
  const endings = [];
  const server = await startTarget({ after: (end) => endings.push(end) }, { AUTH_SECRET: SECRET, LOG_LEVEL: 'debug', ...env });
  t.after(async () => {
    const told = await Promise.all(['/metrics', '/api/online_users', '/readyz', '/'].map(async (path) => (await fetch(server.url + path)).text()))
      .finally(async () => { for (const end of endings) await end(); });
    assert.deepEqual(leaks([server.log(), ...told].join('\n')), [], 'a token or a secret is told');
  });
  return server;
}
