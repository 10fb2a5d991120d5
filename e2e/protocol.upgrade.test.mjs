// The way from polling to WebSocket, in and out of order, compared with Node.
import { WebSocket } from 'ws';
import { compare } from './lib/compare.mjs';
import { PollSession, WsSession } from './lib/raw.mjs';
import { until } from './lib/wait.mjs';

// climb opens a polling session and lets act bring WebSockets to it. The
// outcome tells what each of them received and how it ended, and the session.
const climb = (eio, act) => async (server) => {
  const polling = await PollSession.open(server, { eio, query: { presence: 'none' } });
  const sockets = [];
  // step sends packets on a new WebSocket for the session, one at a time.
  const step = async (...packets) => {
    const ws = await WsSession.open(server, { eio, sid: polling.sid });
    sockets.push(ws);
    for (const packet of packets) await push(ws, packet);
    return ws;
  };
  const push = async (ws, packet) => {
    const answers = () => ws.packets.filter((one) => one === '3probe').length;
    const before = answers();
    ws.send(packet);
    // What is no probe ends the attempt, or the upgrade.
    if (packet === '2probe') await until(() => answers() > before || ws.ended, 'the answer to the probe');
    else await ws.arrived();
  };
  // again is step once the server has noticed that the WebSocket before is gone:
  // until then it refuses another.
  const again = (...packets) => until(async () => {
    const ws = await step(...packets);
    return !ws.ended || !sockets.splice(sockets.indexOf(ws), 1);
  }, 'the end of the attempt before');
  try {
    const extra = await act({ server, polling, step, again, push });
    const alive = await whereabouts(polling, sockets);
    // A WebSocket that is closing will be closed.
    await until(() => sockets.every(({ ws }) => ws.readyState !== WebSocket.CLOSING), 'the close');
    return {
      ...extra,
      alive,
      sockets: sockets.map((ws) => ({
        got: ws.packets.filter((packet) => /^[0-9](probe)?$/.test(packet)),
        open: ws.ws.readyState === WebSocket.OPEN,
        ended: ws.ended,
      })),
    };
  } finally {
    sockets.forEach((ws) => ws.close());
    polling.close();
  }
};

// whereabouts asks first where asking does no harm: a post is refused by a
// session that has moved on, but an event on a WebSocket ends its probing.
async function whereabouts(polling, sockets) {
  if ((await polling.alive()) === 'alive') return 'on polling';
  for (const [index, ws] of sockets.entries()) {
    if (ws.ws.readyState === WebSocket.OPEN && (await ws.alive()) === 'alive') return `on WebSocket ${index + 1}`;
  }
  return 'ended';
}

const cases = {
  'probe and upgrade': ({ step }) => step('2probe', '5'),
  'probe alone': ({ step }) => step('2probe'),
  'probes repeated': ({ step }) => step('2probe', '2probe', '2probe', '5'),
  'upgrade without probe': ({ step }) => step('5'),
  'upgrade twice': ({ step }) => step('2probe', '5', '5'),
  'probe after the upgrade': ({ step }) => step('2probe', '5', '3probe'),
  'a message instead of the probe': ({ step }) => step('42["sync"]'),
  'a message between probe and upgrade': ({ step }) => step('2probe', '42["sync"]'),
  'a ping without "probe"': ({ step }) => step('2'),
  'a wrong probe': ({ step }) => step('2prob'),
  'nonsense': ({ step }) => step('x'),
  'an empty message': ({ step }) => step(''),
  'bytes': ({ step }) => step(Buffer.from([4, 1, 2])),
  'a close packet': ({ step }) => step('1'),
  'a noop': ({ step }) => step('6'),
  'upgrade with data': ({ step }) => step('2probe', '5x'),
  async 'a WebSocket that goes before its probe'({ step, again }) {
    (await step()).close();
    await again('2probe');
  },
  async 'a WebSocket that goes after its probe'({ step, again }) {
    (await step('2probe')).close();
    await again('2probe');
  },
  async 'a second attempt after one that broke off'({ step, again }) {
    (await step('2probe')).close();
    await again('2probe', '5');
  },
  async 'a second WebSocket while one probes'({ step }) {
    await step('2probe');
    await step('2probe');
  },
  async 'a second WebSocket while one probes, and the first upgrades'({ step, push }) {
    const first = await step('2probe');
    await step('2probe');
    await push(first, '5');
  },
  async 'a second WebSocket after the upgrade'({ step }) {
    await step('2probe', '5');
    await step('2probe', '5');
  },
  async 'a poll after the upgrade'({ step, polling }) {
    await step('2probe', '5');
    await polling.pollEnded;
    return { status: (await polling.request({})).status };
  },
  async 'a post after the upgrade'({ step, polling }) {
    await step('2probe', '5');
    return { status: (await polling.send('42["sync"]')).status };
  },
  async 'the waiting poll is released by the probe'({ step, polling }) {
    polling.polling = false;
    await step('2probe');
    await until(() => polling.packets.includes('6'), 'the noop');
    await polling.pollEnded;
    Object.assign(polling, { pollEnded: polling.poll() }); // for the question where the session is
    return { noop: true };
  },
  async 'the session ends over polling while a WebSocket probes'({ step, polling }) {
    const ws = await step('2probe');
    await polling.send('1');
    await ws.closed;
  },
  async 'the upgraded WebSocket breaks'({ step }) {
    (await step('2probe', '5')).close();
  },
};

const meant = {
  'probes repeated': {
    rollcall: { alive: 'on polling', sockets: [{ got: ['3probe'], open: false, ended: 'closed 1005' }] },
    because: 'a WebSocket is probed once: answers that nobody reads would hold the server up',
  },
};

for (const eio of [4, 3]) {
  compare(`upgrades, EIO${eio}`, Object.entries(cases).map(([name, act]) => ({
    name,
    ...meant[name],
    run: climb(eio, async (tools) => {
      const extra = await act(tools);
      return extra instanceof WsSession ? {} : extra;
    }),
  })));
}

compare('WebSockets for a sid that is none of theirs', [
  ...[4, 3].map((eio) => ({
    name: `an unknown sid, EIO${eio}`,
    async run(server) {
      const ws = await WsSession.open(server, { eio, sid: 'nobody' });
      ws.send('2probe');
      const end = await Promise.race([ws.closed, until(() => ws.ended, 'an end')]);
      return { end };
    },
  })),
  ...[4, 3].map((eio) => ({
    name: `the sid of a WebSocket session, EIO${eio}`,
    async run(server) {
      const one = await WsSession.open(server, { eio, query: { presence: 'none' } });
      const two = await WsSession.open(server, { eio, sid: one.sid });
      two.send('2probe');
      two.send('x');
      const end = await two.closed;
      const first = await one.alive();
      one.close();
      return { end, first };
    },
  })),
  {
    name: 'the sid of a session of the other protocol',
    async run(server) {
      const polling = await PollSession.open(server, { eio: 4, query: { presence: 'none' } });
      const ws = await WsSession.open(server, { eio: 3, sid: polling.sid });
      ws.send('2probe');
      const end = await ws.closed;
      const session = await polling.alive();
      polling.close();
      return { end, session };
    },
  },
]);
