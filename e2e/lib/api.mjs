// The HTTP API, asked as a program would.
import { PATIENCE } from './wait.mjs';

// api is one request; body is sent as JSON. The answer's body is parsed if it
// is JSON.
export async function api(server, path, { method = 'GET', key, body, headers } = {}) {
  const answer = await fetch(`${server.url}/api/${path}`, {
    method,
    headers: {
      ...(body !== undefined && { 'Content-Type': 'application/json' }),
      ...(key && { Authorization: `Bearer ${key}` }),
      ...headers,
    },
    body: body === undefined ? undefined : JSON.stringify(body),
    signal: AbortSignal.timeout(PATIENCE),
  });
  const text = await answer.text();
  const json = /^application\/json\b/.test(answer.headers.get('content-type') ?? '');
  return { status: answer.status, headers: answer.headers, text, body: json ? JSON.parse(text) : undefined };
}

// ask is a request that has to succeed.
export async function ask(server, path, options) {
  const answer = await api(server, path, options);
  if (answer.status !== 200) throw new Error(`${options?.method ?? 'GET'} /api/${path}: ${answer.status} ${answer.text.slice(0, 300)}`);
  return answer.body;
}

export const room = (name, what) => `rooms/${encodeURIComponent(name)}/${what}`;
