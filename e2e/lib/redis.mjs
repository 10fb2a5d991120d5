// A redis-server of its own for one test.
import { once } from 'node:events';
import { connect } from 'node:net';
import { freePort, runProgram } from './server.mjs';
import { until } from './wait.mjs';

// startRedis runs a redis-server on a free port and waits until it answers. It
// keeps nothing on disk. Stop it after the instances that use it. kill ends it,
// and start runs it again, empty.
export async function startRedis() {
  const port = await freePort();
  let server;
  const start = async () => {
    server = runProgram('redis-server', ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no']);
    await until(async () => {
      if (server.exited()) throw new Error(`redis-server does not run; these tests need Debian's package redis-server:\n${server.log()}`);
      return answers(port);
    }, 'redis-server');
  };
  const kill = () => server.stop('SIGKILL');
  await start();
  return { url: `redis://127.0.0.1:${port}`, port, start, kill, stop: kill };
}

async function answers(port) {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    socket.write('PING\r\n');
    const [reply] = await once(socket, 'data');
    return String(reply).startsWith('+PONG');
  } catch {
    return false; // not yet
  } finally {
    socket.destroy();
  }
}
