// The Rails application, as far as the service knows it: GET /api/tracks.
import { createServer } from 'node:http';
import { until } from '../lib/wait.mjs';

export const TRACKS = [{ id: 3, name: 'Ruby' }, { id: '4b', name: 'Go' }, { id: 12345678901, name: 'C' }];

// startRails serves tracks; answer(request, response), which a test may
// replace at any time, answers each request instead.
export async function startRails(t, tracks = TRACKS) {
  const rails = { asked: 0, answer: (request, response) => json(response, tracks) };
  const http = createServer((request, response) => {
    rails.asked += request.url === '/api/tracks' ? 1 : 0;
    if (request.method !== 'GET' || request.url !== '/api/tracks') response.writeHead(404).end();
    else rails.answer(request, response);
  });
  const listen = (port) => new Promise((resolve, reject) => {
    http.once('error', reject).listen(port, '127.0.0.1', resolve);
  });
  await listen(0);
  const { port } = http.address();
  rails.url = `http://127.0.0.1:${port}`;
  rails.back = () => listen(port);
  rails.gone = () => new Promise((resolve) => {
    http.close(resolve);
    http.closeAllConnections();
  });
  t.after(() => http.listening && rails.gone());
  return rails;
}

// known waits until a server has read the tracks, and not only asked for them.
export const known = (server) => until(() => /got the tracks/.test(server.log()), 'the tracks', { show: server.log });

export function json(response, body) {
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(typeof body === 'string' ? body : JSON.stringify(body));
}
