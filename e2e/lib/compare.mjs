// The same input to the reference, Node's official server, and to Rollcall, and
// the two outcomes compared. An intended difference stands at its case, with the
// reason.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { PollSession, WsSession } from './raw.mjs';
import { startReference } from './reference.mjs';
import { onReference, startTarget } from './target.mjs';
import { within } from './wait.mjs';

// One pair of servers serves all cases of a file.
const sides = [];
const ending = [];
const context = { after: (end) => ending.unshift(end) };

before(async () => {
  const reference = await startReference();
  context.after(() => reference.stop());
  sides.push(reference, await startTarget(context, { EVENTS_PER_SECOND: '0', EVENTS_BURST: '0', LOG_LEVEL: 'debug' }));
});
after(async () => {
  for (const end of ending) await end();
});

// compare runs cases {name, run(server), rollcall?, because?}. run reduces what
// happened to a plain object. rollcall holds the fields in which Rollcall is
// meant to differ. A session that has nothing to do with the cases must be served
// all along.
export function compare(title, cases) {
  describe(title, { concurrency: 6 }, () => {
    const bystanders = [];
    before(async () => {
      bystanders.push(...await Promise.all(sides.map((server) => WsSession.open(server, { query: { presence: 'none' } }))));
    });
    after(async () => {
      assert.deepEqual(await Promise.all(bystanders.map((session) => session.alive())), ['alive', 'alive'], 'others are served');
      bystanders.forEach((session) => session.close());
    });

    for (const { name, run, rollcall, because } of cases) {
      test(name, async () => {
        const [reference, target] = (await Promise.all(sides.map((server) => run(server)))).map(defined);
        // A field that Rollcall's outcome lacks is written as undefined.
        const expected = onReference ? reference : defined({ ...reference, ...rollcall });
        if (rollcall && !onReference) {
          assert.ok(because, 'a difference needs a reason');
          assert.notDeepEqual(expected, reference, 'the reference does the same by now: there is no difference');
        }
        assert.deepEqual(target, expected, `reference ${JSON.stringify(reference)} | rollcall ${JSON.stringify(target)}`);
      });
    }
  });
}

const defined = (outcome) => Object.fromEntries(Object.entries(outcome).filter(([, value]) => value !== undefined));

// frames sends packets in a fresh session: {via: 'ws'|'polling', eio}. Each has
// arrived before the next is sent: Node treats packets of one read differently.
// last: the last one ends the session, and nothing is sent behind it.
export function frames({ via, eio, connect = true, query = {}, last = false }, ...packets) {
  return async (server) => {
    const kind = via === 'ws' ? WsSession : PollSession;
    const session = await kind.open(server, { eio, connect, query: { presence: 'none', ...query } });
    try {
      const answers = [];
      for (const packet of packets) {
        const answer = await session.send(packet);
        if (via === 'polling') answers.push(answer.status);
        if (via === 'ws' && !last) await session.arrived(); // a POST has its answer
      }
      const ended = last ? await within(session.closed, 'the end') : await session.alive();
      if (via === 'polling' && session.ended) await session.pollEnded;
      return {
        session: via === 'ws' || ended === 'alive' || ended === 'silent' ? ended : 'ended',
        replies: session.replies,
        ...(via === 'polling' && { answers }),
      };
    } finally {
      session.close();
    }
  };
}
