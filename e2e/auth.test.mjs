// Who a client is, by a token: every version and transport, at its connection,
// against what it says of itself, and when the token ends.
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { connect, covering, direct, open, versions } from './lib/clients.mjs';
import { runProgram, startServer } from './lib/server.mjs';
import { FOREIGN_SECRET, jwt, leaks, OLD_SECRET, remember, ruby, SECRET, seconds, startAuth, unsigned } from './lib/tokens.mjs';
import { until } from './lib/wait.mjs';
import { blocksOf, readDoc } from './migrating/samples.mjs';

const plain = { version: '4.8.4', mode: 'websocket' };
const ada = { id: 7, name: 'Ada' };
const bob = { id: 'b/8', name: 'Bob' };

// ways are the places where a client of that version can show a token.
const ways = ({ version }) => (versions[version].eio === 4 ? ['auth', 'query'] : ['query']);

// enter opens a client that shows a token, if it is a function a new one with
// every connection.
function enter(t, server, kind, token, { way = 'query', ...options } = {}) {
  if (typeof token === 'function') options.auth = (give) => give({ token: token() });
  else if (token !== undefined) options[way] = { ...options[way], token };
  const client = open(t, server.url, { ...kind, ...options });
  client.refusals = [];
  client.warnings = [];
  // 3.x and 4.x wrap what 1.x and 2.x hand over as it came. A server that is not there refuses nothing.
  const hear = (error) => { if ((error?.data ?? error).error) client.refusals.push(error.data ?? error); };
  client.socket.on('connect_error', hear).on('error', hear);
  client.socket.on('token_expiring', (warning) => client.warnings.push(warning));
  return client;
}

// refused waits for the connect error and looks at all of it.
async function refused(client, why) {
  await client.until(() => client.refusals.length > 0, `the refusal: ${why}`, { show: () => [client.refusals, client.events] });
  const { ok, error, message } = client.refusals[0];
  assert.deepEqual({ ok, error }, { ok: false, error: 'unauthorized' }, why);
  assert.match(message, /token/);
  assert.ok(!client.socket.connected, why);
}

// watch sees all and is nobody: of a user whom every server of these tests takes.
const watch = async (t, server) => {
  const watcher = enter(t, server, plain, jwt({ user: { id: 'watcher' } }));
  await watcher.settled();
  await watcher.listed('watcher');
  return watcher;
};

// Most of them wait for tokens to end.
describe('tokens', { concurrency: 3 }, () => {
  for (const kind of covering) {
    describe(`client ${kind.version} ${kind.mode}`, { concurrency: 2 }, () => {
      test('registered from the token, and nobody else', async (t) => {
        const server = await startAuth(t);
        const watcher = await watch(t, server);
        for (const way of ways(kind)) {
          const client = enter(t, server, kind, jwt({ user: ada }), { way });
          await client.settled();
          await client.listed('watcher', 7);
          assert.deepEqual((await watcher.sees('add_user', (user) => user.id === 7))[0], ada);

          // More about oneself may be said, but not that one is somebody else.
          assert.deepEqual(await client.ask('register', { ...ada, mood: 'good' }), { ok: true });
          await watcher.sees('update_user', (user) => user.mood === 'good');
          for (const other of [bob, { id: 8 }, { name: 'nobody' }, { id: '' }, { id: ['7'] }]) {
            const { ok, error } = await client.ask('register', other);
            assert.equal(ok, false);
            assert.match(error, Array.isArray(other.id) ? /^(forbidden|bad_user)$/ : /^forbidden$/, JSON.stringify(other));
          }
          client.socket.emit('register', bob);
          await client.sees('rollcall_error', ({ error, event }) => error === 'forbidden' && event === 'register');
          await client.ask('sync');
          await client.until(() => client.list.length === 2 && client.list[1].mood, 'the list with the mood');
          assert.deepEqual(client.list[1], { ...ada, mood: 'good' });

          // As text the id is the same; and after signing out one is back only as oneself.
          assert.deepEqual(await client.ask('register', { id: '7', name: 'Ada' }), { ok: true });
          await client.ask('unregister');
          await watcher.listed('watcher');
          assert.equal((await client.ask('register', bob)).error, 'forbidden');
          assert.deepEqual(await client.ask('register', ada), { ok: true });
          await watcher.listed('watcher', 7);
          client.close();
          await watcher.listed('watcher');
          watcher.events.length = 0;
          await watcher.ask('sync');
          await watcher.listed('watcher');
        }
      });

      test('without a good token the connection is refused', async (t) => {
        const server = await startAuth(t);
        const watcher = await watch(t, server);
        const genuine = jwt({ user: ada });
        const bad = {
          none: undefined,
          empty: '',
          nonsense: 'let me in',
          expired: jwt({ user: ada, exp: seconds() - 1 }),
          'without an end': jwt({ user: ada, exp: undefined }),
          'not valid yet': jwt({ user: ada, nbf: seconds() + 300 }),
          'of another secret': jwt({ user: ada }, { secret: FOREIGN_SECRET }),
          'of another digest': jwt({ user: ada }, { header: { alg: 'HS512' }, digest: 'sha512' }),
          'not signed': unsigned({ user: ada }),
          'of nobody': jwt({ name: 'Ada' }),
          'for somebody else': jwt({ user: ada, aud: 'billing' }),
          changed: remember(genuine.replace(/\.[^.]+\./, `.${Buffer.from(JSON.stringify({ user: bob, exp: seconds() + 600 })).toString('base64url')}.`)),
        };
        await Promise.all(ways(kind).flatMap((way) => Object.entries(bad).map(async ([why, token]) => {
          await refused(enter(t, server, kind, token, { way }), `${why}, by ${way}`);
        })));
        if (ways(kind).includes('auth')) {
          await refused(enter(t, server, kind, jwt({ user: { ...ada, pad: 'x'.repeat(20_000) } }), { way: 'auth' }), 'huge');
          await refused(enter(t, server, kind, { id: 7 }, { way: 'auth' }), 'no text');
        }
        // Nor by what serves where everybody is believed.
        await refused(enter(t, server, kind, undefined, { query: { userId: '7' } }), 'userId');
        await watcher.ask('sync');
        await watcher.listed('watcher');
        assert.deepEqual(watcher.of('add_user').filter(([user]) => user.id !== 'watcher'), []);
        const metrics = await (await fetch(`${server.url}/metrics`)).text();
        const counted = Number(/^rollcall_refusals_total\{[^}]*"unauthorized"\} (\d+)$/m.exec(metrics)?.[1]);
        assert.ok(counted >= ways(kind).length * Object.keys(bad).length, `refusals are counted: ${counted}`);
      });

      test('with ALLOW_GUESTS guests are let in, and have no id', async (t) => {
        const server = await startAuth(t, { ALLOW_GUESTS: 'true' });
        const watcher = await watch(t, server);
        const tokens = { none: undefined, expired: jwt({ user: ada, exp: seconds() - 1 }), foreign: jwt({ user: ada }, { secret: FOREIGN_SECRET }) };
        for (const [why, token] of Object.entries(tokens)) {
          const guest = enter(t, server, kind, token, { query: { userId: '7' } });
          await guest.settled();
          await guest.ask('sync');
          await guest.listed('watcher');
          assert.equal((await guest.ask('register', ada)).error, 'forbidden', why);
          assert.deepEqual(await guest.ask('register', { name: `a guest, ${why}` }), { ok: true });
          await watcher.sees('add_user', (user) => user.name === `a guest, ${why}` && user.id === undefined);
          guest.close();
          await watcher.listed('watcher');
        }
        const client = enter(t, server, kind, jwt({ user: ada }));
        await client.settled();
        await watcher.listed('watcher', 7);
        assert.equal((await client.ask('register', { name: 'incognito' })).error, 'forbidden');
      });

      test('a token that ends: a warning, the end, and back with a new one', async (t) => {
        const server = await startAuth(t);
        const watcher = await watch(t, server);
        for (const way of ways(kind)) {
          let given = 0;
          const fresh = () => jwt({ user: { ...ada, given: `${way} ${++given}` }, exp: seconds() + (given === 1 ? 20 : 600) });
          const options = { reconnection: true, reconnectionDelay: 10, reconnectionDelayMax: 50 };
          let client;
          if (way === 'auth') {
            client = enter(t, server, kind, fresh, options);
          } else {
            client = enter(t, server, kind, fresh(), options);
            const manager = versions[kind.version].eio === 4 ? client.socket.io : client.socket;
            manager.on('reconnect_attempt', () => { client.socket.io.opts.query = { token: fresh() }; });
          }
          await client.settled();
          await watcher.sees('add_user', (user) => user.given === `${way} 1`);
          await client.until(() => client.warnings.length === 1, 'the warning');
          const left = client.warnings[0].expires_in;
          assert.ok(Number.isInteger(left) && left >= 1 && left <= 10, `half of what was left: ${left}`);
          assert.ok(client.socket.connected, 'a warning is no end');
          await client.sees('disconnect', (reason) => reason === 'transport close');
          await client.until(() => client.socket.connected && client.list?.some((user) => user.given === `${way} 2`), 'the return');
          await until(() => watcher.list.some((user) => user.given === `${way} 2`), 'the return at the watcher', { show: () => watcher.list });
          assert.equal(given, 2);
          client.close();
          await watcher.listed('watcher');
        }
      });

      test('a client without a new token is refused until it has one', async (t) => {
        const server = await startAuth(t);
        const watcher = await watch(t, server);
        const short = jwt({ user: ada, exp: seconds() + 15 });
        const client = enter(t, server, kind, short, { reconnection: true, reconnectionDelay: 10, reconnectionDelayMax: 50 });
        await client.settled();
        await refused(await client.until(() => client.refusals.length > 0 && client, 'the refusal'), 'its token has ended');
        await watcher.listed('watcher');
        // A page that has a token again connects again.
        client.socket.io.opts.query = { token: jwt({ user: ada }) };
        client.socket.disconnect();
        client.socket.connect();
        await watcher.listed('watcher', 7);
        await client.until(() => client.socket.connected, 'the connection');
        await client.listed('watcher', 7);
      });
    });
  }
});

describe('messages of Rails', { concurrency: 2 }, () => {
  // Data with the characters of base64 that a query has to escape.
  const given = `
    def verifier(secret = ENV['SECRET'], digest: 'SHA256', serializer: JSON) = ActiveSupport::MessageVerifier.new(secret, digest: digest, serializer: serializer)
    USER = { id: 7, name: 'Ada ?>~û?>~û?>~' }`;
  const user = { id: 7, name: 'Ada ?>~û?>~û?>~' };
  const good = {
    "verifier(digest: 'SHA1').generate(USER)": user,
    'verifier.generate(USER)': user,
    'verifier.generate(USER, expires_in: 600, purpose: :rollcall)': user,
    "verifier(digest: 'SHA1').generate(USER, expires_at: Time.now + 600)": user,
    'verifier.generate(7)': { id: 7 },
    "verifier.generate('7', purpose: :rollcall)": { id: '7' },
    "verifier(ENV['OLD_SECRET']).generate(USER)": user,
  };
  const bad = [
    "verifier(ENV['FOREIGN_SECRET']).generate(USER)",
    'verifier.generate(USER, purpose: :password_reset)',
    'verifier.generate(USER, expires_in: -1)',
    'verifier(serializer: Marshal).generate(USER)',
    "verifier(digest: 'SHA512').generate(USER)",
    'verifier.generate([7])',
  ];
  let tokens;
  before(async () => {
    const expressions = [...Object.keys(good), ...bad];
    tokens = Object.fromEntries((await ruby(expressions, { given })).map((token, i) => [expressions[i], token]));
    assert.match(Object.values(tokens).join(), /\+/);
    assert.match(Object.values(tokens).join(), /\//);
  });

  for (const kind of covering) {
    test(`client ${kind.version} ${kind.mode}`, async (t) => {
      const server = await startAuth(t, { AUTH_SECRET: `${SECRET},${OLD_SECRET}` });
      const watcher = await watch(t, server);
      for (const way of ways(kind)) {
        for (const [expression, expected] of Object.entries(good)) {
          const client = enter(t, server, kind, tokens[expression], { way });
          await client.until(() => client.socket.connected, `${expression}, by ${way}`);
          await client.listed('watcher', expected.id);
          assert.deepEqual(client.list[1], expected, expression);
          client.close();
          await watcher.listed('watcher');
        }
        await Promise.all(bad.map((expression) => refused(enter(t, server, kind, tokens[expression], { way }), expression)));
      }
      await watcher.ask('sync');
      await watcher.listed('watcher');
    });
  }

  // The Ruby of docs/how-to/sign-users-in.md, word for word, in what an app has around it.
  test('as docs/how-to/sign-users-in.md makes them', async (t) => {
    const server = await startAuth(t);
    const blocks = Object.fromEntries(blocksOf(readDoc('how-to/sign-users-in.md')).map(({ name, code }) => [name, code]));
    const app = `
      User = Struct.new(:id, :name)
      class ApplicationController
        def current_user = $nobody ? nil : User.new(7, 'Ada')
        def response = Struct.new(:headers).new({})
        def render(plain:) = plain
        def head(status) = "head #{status}"
      end`;
    const [nothing, ...tokens] = await ruby(['($nobody = true) && RollcallTokensController.new.show',
      '($nobody = false) || RollcallTokensController.new.show', "rollcall_jwt(User.new(7, 'Ada'))"],
    { given: [app, blocks['token-rails'], blocks['token-ruby']].join('\n'), env: { ROLLCALL_AUTH_SECRET: SECRET } });
    assert.equal(nothing, 'head unauthorized');
    for (const token of tokens) {
      const client = enter(t, server, plain, token, { way: 'auth' });
      await client.settled();
      await client.listed(7);
      assert.deepEqual(client.list, [ada]);
      client.close();
    }
  });

  test('a message that ends ends the connection', async (t) => {
    const server = await startAuth(t);
    const [token] = await ruby(['verifier.generate(USER, expires_in: 20)'], { given });
    const client = enter(t, server, plain, token);
    await client.settled();
    await client.until(() => client.warnings.length === 1, 'the warning');
    await client.sees('disconnect', (reason) => reason === 'transport close');
  });
});

describe('a new secret', { concurrency: 4 }, () => {
  for (const kind of direct) {
    test(`both count while one is replaced, client ${kind.version} ${kind.mode}`, async (t) => {
      let server = await startServer({ AUTH_SECRET: OLD_SECRET, LOG_LEVEL: 'debug' });
      let log = '';
      t.after(async () => {
        await server.stop('SIGKILL');
        assert.deepEqual(leaks(log + server.log()), []);
      });
      const again = async (secrets) => {
        await server.stop();
        log += server.log();
        server = await startServer({ AUTH_SECRET: secrets, LOG_LEVEL: 'debug', PORT: String(server.port) });
      };
      const options = { reconnection: true, reconnectionDelay: 10, reconnectionDelayMax: 50 };
      const [old, young] = [jwt({ user: ada }, { secret: OLD_SECRET }), jwt({ user: bob })];
      const stays = enter(t, server, kind, old, options);
      await stays.settled();
      await stays.listed(7);
      await refused(enter(t, server, kind, young), 'signed with the new secret too early');

      await again(`${SECRET}, ${OLD_SECRET}`);
      await stays.until(() => stays.of('disconnect').length === 1 && stays.socket.connected, 'the return with the old token');
      const comes = enter(t, server, kind, young, options);
      await comes.settled();
      for (const client of [stays, comes]) await client.listed(7, 'b/8');

      await again(SECRET);
      await stays.until(() => stays.refusals.length > 0, 'the end of the old secret');
      await refused(stays, 'the old secret is out');
      await comes.until(() => comes.of('disconnect').length === 1 && comes.socket.connected, 'the return with the new token');
      await comes.listed('b/8');
    });
  }

  for (const [why, secret] of Object.entries({ short: 'fifteen letters', 'one of two short': `${SECRET},tiny`, three: `${SECRET},${OLD_SECRET},${FOREIGN_SECRET}`, 'only commas': ', ,' })) {
    test(`a secret that cannot be one ends the start: ${why}`, async (t) => {
      const program = runProgram(process.env.ROLLCALL_BIN ?? new URL('../bin/rollcall', import.meta.url).pathname, [], { AUTH_SECRET: secret, HOST: '127.0.0.1', PORT: '0' });
      t.after(() => program.stop('SIGKILL'));
      await until(() => program.exited(), 'the end', { show: program.log });
      await until(() => /AUTH_SECRET must be a secret of at least 16 characters/.test(program.log()), 'the reason', { show: program.log });
      assert.deepEqual(leaks(program.log()), []);
      assert.ok(secret.length < 4 || !program.log().includes(secret));
    });
  }
});

describe('around it', () => {
  test('without a secret the log says that everybody is believed, with one it does not', async (t) => {
    const warning = /clients are trusted to be who they say they are/;
    const trusting = await startServer();
    t.after(() => trusting.stop());
    await until(() => warning.test(trusting.log()), 'the warning', { show: trusting.log });
    // There a token is only one more word of a query.
    const client = enter(t, trusting, plain, 'anything', { query: { userId: '7' } });
    await client.settled();
    await client.listed('7');
    const strict = await startAuth(t);
    assert.doesNotMatch(strict.log(), warning);
  });

  test('two tabs: each ends with its own token', async (t) => {
    const server = await startAuth(t);
    const watcher = await watch(t, server);
    const [one, two] = [enter(t, server, plain, jwt({ user: ada, exp: seconds() + 15 })), enter(t, server, plain, jwt({ user: ada }))];
    await Promise.all([one.settled(), two.settled()]);
    await one.until(() => !one.socket.connected && one.of('disconnect').length === 1, 'the end of the first');
    assert.ok(two.socket.connected);
    assert.deepEqual(await two.ask('register', { ...ada, alone: true }), { ok: true });
    await watcher.sees('update_user', (user) => user.alone);
    assert.deepEqual(watcher.of('remove_user'), []);
  });

  // A token is good until it ends, also after its user was signed out everywhere.
  test('signed out everywhere, and back with the same token', async (t) => {
    const key = remember('the-key-of-the-app-that-signs-out');
    const server = await startAuth(t, { API_KEY: key });
    const watcher = await watch(t, server);
    const token = jwt({ user: ada });
    for (const kind of covering) {
      const client = enter(t, server, kind, token);
      await client.settled();
      await watcher.listed('watcher', 7);
      const from = watcher.events.length;
      const answer = await fetch(`${server.url}/api/users/7`, { method: 'DELETE', headers: { Authorization: `Bearer ${key}` } });
      assert.deepEqual(await answer.json(), { id: '7', sockets: 1 });
      await client.sees('signed_out');
      await client.sees('disconnect', (reason) => reason === 'io server disconnect');
      assert.deepEqual(await watcher.sees('remove_user', () => true, from), [ada, { reason: 'signed_out' }]);
      await watcher.listed('watcher');

      const mark = client.events.length;
      client.socket.connect(); // nothing but the page's will is needed
      await client.until(() => client.socket.connected, 'the return');
      await watcher.listed('watcher', 7);
      await client.sees('online_users', (list) => list[1]?.id === 7, mark);
      assert.deepEqual(client.list[1], ada);
      assert.deepEqual(client.refusals, []);
      client.close();
      await watcher.listed('watcher');
    }
  });

  test('auth counts before the query', async (t) => {
    const server = await startAuth(t);
    const client = enter(t, server, plain, jwt({ user: ada }), { way: 'auth', query: { token: jwt({ user: bob }) } });
    await client.settled();
    await client.listed(7);
    // And a bad one there is not made good by another.
    await refused(enter(t, server, plain, jwt({ user: ada, exp: 1 }), { way: 'auth', query: { token: jwt({ user: bob }) } }), 'bad in auth');
  });

  test('a JWT may name no more than the id', async (t) => {
    const server = await startAuth(t);
    for (const [claims, expected] of [[{ sub: '7' }, { id: '7' }], [{ sub: 7 }, { id: 7 }], [{ sub: '7', user: ada }, ada]]) {
      const client = enter(t, server, plain, jwt(claims));
      await client.settled();
      await client.listed(expected.id);
      assert.deepEqual(client.list, [expected]);
      client.close();
    }
    await refused(enter(t, server, plain, jwt({ sub: '8', user: ada })), 'of two');
  });

  test('a token that is told is noticed', () => {
    const token = jwt({ user: ada });
    const [header, payload, signature] = token.split('.');
    assert.ok(leaks(`GET /socket.io/?token=${token}`).includes(token));
    assert.ok(leaks(`…${payload.slice(0, 40)}…`).includes(token));
    assert.deepEqual(leaks(`…${signature.slice(-32)}…`), [token]);
    assert.deepEqual(leaks(`secret=${SECRET}`), [SECRET]);
    assert.deepEqual(leaks(`${header} a token was refused: it has expired`), []);
  });
});
