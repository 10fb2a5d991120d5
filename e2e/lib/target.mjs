// What the tests run against: the binary, or with TARGET=reference the Node server
// (to find out whether a test is right before the binary is blamed).
import { startReference } from './reference.mjs';
import { startServer } from './server.mjs';

export const onReference = process.env.TARGET === 'reference';

// startTarget starts a server of its own for the test or hook context t.
export async function startTarget(t, env) {
  const server = onReference ? await startReference(env) : await startServer(env);
  t.after(async () => {
    const crashed = server.exited();
    await server.stop();
    if (crashed) throw new Error(`the server ended by itself:\n${server.log().slice(-4000)}`);
    if (/WARNING: DATA RACE/.test(server.log())) throw new Error(`data race:\n${server.log().slice(-8000)}`);
  });
  return server;
}
