// Several instances hear of each other's changes in order, a moment later. A
// barrier is passed when each has heard of all there was before: a client of
// each changes its name in a chat room, and all of them have to see all names.
import { Player } from './player.mjs';

export async function raise(t, servers) {
  const guards = servers.map(({ url }, n) => new Player(t, url, { name: `guard ${n}`, version: '4.8.4', mode: 'websocket' }));
  await Promise.all(guards.map((guard) => guard.perform({ does: 'connect' })));
  let round = 0;
  return async () => {
    round++;
    const names = guards.map((guard) => `${guard.name}, ${round}`);
    guards.forEach((guard, n) => guard.socket.emit('join', { room: 'barrier', username: names[n] }));
    const seen = ({ transcript }) => transcript.findLast(([, data]) => data?.room === 'barrier')?.[1].users ?? [];
    await Promise.all(guards.map((guard) => guard.until(() => names.every((name) => seen(guard).includes(name)), `the names ${names}`)));
  };
}
