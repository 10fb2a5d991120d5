// A TCP proxy whose connections can be cut, as networks do.
import { connect, createServer } from 'node:net';

// hold delays requests that ask for a WebSocket until it resolves.
export async function startProxy(t, port, { hold } = {}) {
  const links = new Set();
  let muted = false;
  const proxy = createServer((near) => {
    const far = connect(port, '127.0.0.1');
    const link = { near, far, asked: false, answered: false };
    links.add(link);
    near.on('data', async (chunk) => {
      if (hold && chunk.includes('Upgrade: websocket')) await hold;
      far.write(chunk, () => { link.asked = true; });
    });
    far.on('data', (chunk) => {
      link.answered = true;
      if (!muted) near.write(chunk);
    });
    for (const [one, other] of [[near, far], [far, near]]) {
      one.on('error', () => other.destroy());
      one.on('end', () => other.end());
      one.on('close', () => { links.delete(link); other.destroy(); });
    }
  });
  await new Promise((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const cut = () => links.forEach(({ near, far }) => { near.destroy(); far.destroy(); });
  t.after(() => {
    cut();
    return new Promise((resolve) => proxy.close(resolve));
  });
  return {
    url: `http://127.0.0.1:${proxy.address().port}`,
    cut,
    // mute: what the server says is lost from here on; what clients say is not.
    mute: (on) => { muted = on; },
    // waiting: the server has a request that it has not answered, a poll. Cut
    // between two polls, a session would rightly live on.
    waiting: () => [...links].some((link) => link.asked && !link.answered),
  };
}
