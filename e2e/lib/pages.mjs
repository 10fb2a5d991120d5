// A site of another origin, as the original application is: pages that load a
// socket.io client and run the application's own lines.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const require = createRequire(import.meta.url);
const oldClient = readFileSync(join(dirname(require.resolve('client-1.3/package.json')), 'socket.io.js'));

// What the page does with an event is what the application did: it keeps it.
const application = `
  var log = [];
  var socket = io(SERVER, OPTIONS);
  ['online_users', 'add_user', 'update_user', 'remove_user', 'rollcall_error'].forEach(function (event) {
    socket.on(event, function (data, more) { log.push([event, data, more]); });
  });
  socket.on('online_users', function (users) { window.users = users; });
  socket.on('connect', function () { log.push(['connect', socket.io.engine.transport.name]); });
  socket.on('disconnect', function (reason) { log.push(['disconnect', reason]); });
  window.transport = function () { return socket.io.engine.transport.name; };
  socket.emit('register', window.CURRENT_RACER);
`;

// startSite serves /1.3 and /4.8; ?racer= is the JSON of CURRENT_RACER and
// ?options= of what io() is given. The 4.8 client comes from Rollcall itself.
export async function startSite(t, rollcall) {
  const site = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url, 'http://site');
    if (pathname === '/client-1.3.js') return response.setHeader('Content-Type', 'text/javascript').end(oldClient);
    const script = { '/1.3': '/client-1.3.js', '/4.8': `${rollcall.url}/socket.io/socket.io.js` }[pathname];
    if (!script) return response.writeHead(404).end();
    // JSON in a script: < is escaped so that no name ends it.
    const literal = (name) => (searchParams.get(name) ?? '{}').replace(/</g, '\\u003c');
    response.setHeader('Content-Type', 'text/html; charset=utf-8');
    response.end(`<!doctype html><title>${pathname}</title><link rel="icon" href="data:,">
<script>var SERVER = ${JSON.stringify(rollcall.url)}, OPTIONS = ${literal('options')}; window.CURRENT_RACER = ${literal('racer')};</script>
<script src="${script}"></script>
<script>${application}</script>`);
  });
  // By name, so that the site is of another host too, not only another port.
  await new Promise((resolve) => site.listen(0, '127.0.0.1', resolve));
  t.after(() => new Promise((resolve) => {
    site.close(resolve);
    site.closeAllConnections();
  }));
  const origin = `http://localhost:${site.address().port}`;
  return {
    origin,
    page: (version, racer, options = {}) => `${origin}/${version}?${new URLSearchParams({ racer: JSON.stringify(racer), options: JSON.stringify(options) })}`,
  };
}
