// A duel: the same input to the judge and to Rollcall, and the two outcomes
// compared. A difference that is meant is written at the case, with its reason.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startJudge } from './judge.mjs';
import { PollSession, WsSession } from './raw.mjs';
import { onJudge, startTarget } from './target.mjs';
import { within } from './wait.mjs';

// duel runs cases {name, play(server), rollcall?, because?} side by side. play
// reduces what happened to a plain object. rollcall holds the fields in which
// Rollcall is meant to differ. After each case a session that has nothing to
// do with it must still be served.
export function duel(title, cases) {
  describe(title, { concurrency: 6 }, () => {
    const sides = {};
    const ending = [];
    const context = { after: (end) => ending.unshift(end) };

    before(async () => {
      const judge = await startJudge();
      context.after(() => judge.stop());
      const target = await startTarget(context, { EVENTS_PER_SECOND: '0', EVENTS_BURST: '0', LOG_LEVEL: 'debug' });
      for (const [name, server] of Object.entries({ judge, target })) {
        const witness = await WsSession.open(server, { query: { presence: 'none' } });
        context.after(() => witness.close());
        sides[name] = { server, witness };
      }
    });
    after(async () => {
      for (const end of ending) await end();
    });

    const round = async (side, play) => {
      const outcome = await play(side.server);
      return defined({ ...outcome, others: await side.witness.alive() });
    };

    for (const { name, play, rollcall, because } of cases) {
      test(name, async () => {
        const [judge, target] = await Promise.all([round(sides.judge, play), round(sides.target, play)]);
        // A field that Rollcall's outcome lacks is written as undefined.
        const meant = onJudge ? judge : defined({ ...judge, ...rollcall });
        if (rollcall && !onJudge) {
          assert.ok(because, 'a difference needs a reason');
          assert.notDeepEqual(meant, judge, 'the judge does the same by now: the difference is none');
        }
        assert.deepEqual(target, meant, `judge ${JSON.stringify(judge)} | rollcall ${JSON.stringify(target)}`);
      });
    }
  });
}

const defined = (outcome) => Object.fromEntries(Object.entries(outcome).filter(([, value]) => value !== undefined));

// frames plays packets into a fresh session: {via: 'ws'|'polling', eio}. Each has
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
