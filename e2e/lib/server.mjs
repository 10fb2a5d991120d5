// The real binary as a child process, for one test.
import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';

const READY_WITHIN = 120_000;
const GONE_WITHIN = 20_000; // the protocol's ten seconds, and ten for the machine

const binary = process.env.ROLLCALL_BIN ?? fileURLToPath(new URL('../../bin/rollcall', import.meta.url));
const running = new Set();

// Whatever way this process ends, its servers end with it.
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(1));

// A killed test process runs no handler; on Linux the kernel does it then.
const leash = canRun('/usr/bin/setpriv') ? ['/usr/bin/setpriv', '--pdeathsig', 'KILL', '--'] : [];

// startServer runs Rollcall on a free port of 127.0.0.1 and waits until it is
// ready. env is added to a clean environment. Unless a test says otherwise there
// is no GRACE: a client that leaves is gone at once.
export async function startServer(env = {}) {
  if (!canRun(binary)) throw new Error(`there is no program at ${binary}: build it first (go build -o bin/rollcall .) or set ROLLCALL_BIN`);
  for (let attempt = 1; ; attempt++) {
    const server = launch(env.PORT ?? (await freePort()), env);
    try {
      await ready(server);
      return server;
    } catch (failure) {
      await server.stop('SIGKILL');
      // Another process may have taken the port between asking and listening.
      if (env.PORT || attempt === 3 || !/in use/.test(server.log())) throw failure;
    }
  }
}

function launch(port, env) {
  return { url: `http://127.0.0.1:${port}`, port: Number(port), ...runProgram(binary, [], { GRACE: '0s', ...env, PORT: String(port) }) };
}

// runProgram runs a program that ends with this process, in a clean environment.
export function runProgram(path, args, env = {}) {
  const [program, ...rest] = [...leash, path, ...args];
  const child = spawn(program, rest, {
    env: { PATH: process.env.PATH, HOME: process.env.HOME ?? '/', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  let output = '';
  const keep = (chunk) => { output = (output + chunk).slice(-200_000); };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  const gone = new Promise((resolve) => {
    child.once('error', (error) => { keep(`\n${error}`); resolve(); });
    child.once('close', resolve);
  }).then(() => running.delete(child));

  return {
    pid: child.pid,
    log: () => output,
    exited: () => child.exitCode !== null || child.signalCode !== null || child.pid === undefined,
    // stop ends the process and resolves when it is gone. A process that
    // outlives the promised shutdown is killed, and that is an error.
    async stop(signal = 'SIGTERM') {
      child.kill(signal);
      let late = false;
      const timer = setTimeout(() => { late = true; child.kill('SIGKILL'); }, GONE_WITHIN);
      await gone;
      clearTimeout(timer);
      if (late) throw new Error(`the server was not gone ${GONE_WITHIN} ms after ${signal}:\n${tail(output)}`);
    },
  };
}

async function ready(server) {
  const deadline = Date.now() + READY_WITHIN;
  let last = 'no answer';
  while (Date.now() < deadline) {
    if (server.exited()) throw new Error(`the server ended before it was ready:\n${tail(server.log())}`);
    try {
      const answer = await fetch(`${server.url}/readyz`, { signal: AbortSignal.timeout(10_000) });
      await answer.text();
      // If it does not listen itself, another process has taken the port and answers.
      if (answer.status === 200 && server.log().includes('rollcall is listening')) return;
      last = `status ${answer.status}`;
    } catch (error) {
      last = error.cause?.code ?? error.message;
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`/readyz was not 200 within ${READY_WITHIN} ms (${last}):\n${tail(server.log())}`);
}

const tail = (text) => text.slice(-4000);

function canRun(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

export function freePort() {
  return new Promise((resolve, reject) => {
    const probe = createServer().once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}
