// Polling payloads and requests, right and wrong, compared with Node.
import { compare } from './lib/compare.mjs';
import { binaryPayload, breakOff, payload, PollSession } from './lib/raw.mjs';
import { until } from './lib/wait.mjs';

const OCTETS = { 'Content-Type': 'application/octet-stream' };
const FORM = { 'Content-Type': 'application/x-www-form-urlencoded' };
const sync = (id) => `42${id}["sync"]`;

// with opens a session, lets act use it, and adds what became of the session.
const withSession = (options, act) => async (server) => {
  const session = await PollSession.open(server, { ...options, query: { presence: 'none', ...options.query } });
  try {
    const outcome = await act(session);
    const alive = await session.alive();
    if (session.ended) await session.pollEnded;
    return { ...outcome, session: alive === 'alive' || alive === 'silent' ? alive : 'ended', replies: session.replies };
  } finally {
    session.close();
  }
};

const posts = (eio, body, options = {}) => withSession({ eio }, async (session) => answered(await session.post(body, options)));
// answered is what a client can tell of an answer.
const answered = ({ status, headers, body }) => ({ status, type: headers['content-type'], body });
// stricter lists what Node lets pass and Rollcall does not, with the reason.
const table = (eio, bodies, stricter = {}) => Object.entries(bodies).map(([name, body]) => ({
  name,
  run: posts(eio, ...[body].flat()),
  ...(stricter[name] && { rollcall: { session: 'ended', replies: [] }, because: stricter[name] }),
}));

const LARGEST = 64 * 1024; // of one message, Engine.IO's type included
const large = (id, size) => {
  const [head, tail] = [`42${id}["sync","`, '"]'];
  return head + 'x'.repeat(size - head.length - tail.length) + tail;
};
const TOO_LARGE = 'one message is at most 64 KiB in Rollcall, 1 MB in Node';
const LENGTH = 'a length is decimal digits; Node takes whatever JavaScript calls a number';
const too = (what, limit, bytes) => JSON.stringify({ code: 3, message: `${what} is larger than ${limit}, ${bytes} bytes` });
const SAYS_WHY = { rollcall: { type: 'application/json', body: too('The body', 'MAX_BODY', 1_000_000), session: 'ended', replies: [] }, because: 'the client learns why, by an event too, and then clients close' };
const limits = (eio) => [
  { name: 'several packets of the largest size in one body', run: posts(eio, payload(eio, ...[1, 2, 3, 4, 5].map((id) => large(id, LARGEST - 1)))) },
  {
    name: 'a packet over the largest size', run: posts(eio, payload(eio, large(1, LARGEST + 2))),
    rollcall: { status: 413, type: 'application/json', body: too('A message', 'MAX_MESSAGE', LARGEST), session: 'ended', replies: [] }, because: TOO_LARGE,
  },
  { name: 'a body over the limit', run: posts(eio, 'x'.repeat(1_000_001)), ...SAYS_WHY },
  { name: 'a body over the limit, chunked', run: posts(eio, 'x'.repeat(1_000_001), { chunked: true }), ...SAYS_WHY },
  { name: 'a body far over the limit', run: posts(eio, 'x'.repeat(8_000_000)), ...SAYS_WHY },
  { name: 'a body far over the limit, chunked', run: posts(eio, 'x'.repeat(8_000_000), { chunked: true }), ...SAYS_WHY },
];

compare('payloads, EIO4', [
  ...table(4, {
    'abc': 'abc',
    'an empty body': '',
    'a separator': '\x1e',
    'separators': '\x1e\x1e\x1e',
    'a separator behind': `${sync(1)}\x1e`,
    'a separator in front': `\x1e${sync(1)}`,
    'three packets': payload(4, sync(1), sync(2), sync(3)),
    'a wrong packet between two': payload(4, sync(1), 'x', sync(2)),
    'a close packet between two': payload(4, sync(1), '1', sync(2)),
    'a wrong event between two': payload(4, sync(1), '42{}', sync(2)),
    'a ping between two': payload(4, sync(1), '2', sync(2)),
    'an event with its attachment': payload(4, '451-7["sync",{"_placeholder":true,"num":0}]', 'bAQID'),
    'base64 without padding': payload(4, '451-7["sync",{"_placeholder":true,"num":0}]', 'bAQ'),
    'no attachment where one is due': payload(4, '451-7["sync",{"_placeholder":true,"num":0}]', sync(1)),
    'an EIO3 payload': payload(3, sync(1)),
    'an octet stream': [sync(1), { headers: OCTETS }],
    'an octet stream that is empty': ['', { headers: OCTETS }],
    'JSON as the type': [sync(1), { headers: { 'Content-Type': 'application/json' } }],
    'no content type': [sync(1), { headers: { 'Content-Type': '' } }],
    'a chunked body': [payload(4, sync(1), sync(2)), { chunked: true }],
    'bytes that are not UTF-8': Buffer.from([0x34, 0x32, 0xff, 0xfe]),
    'not UTF-8 inside a text': Buffer.concat([Buffer.from('421["sync","'), Buffer.from([0xc0, 0xaf]), Buffer.from('"]')]),
    'unicode': '421["sync","Zoë 😀 \u2028"]',
    'a BOM': `\ufeff${sync(1)}`,
    '500 packets': payload(4, ...Array.from({ length: 500 }, (_, id) => sync(id))),
  }, { 'base64 without padding': 'base64 has its padding' }),
  ...limits(4),
]);

compare('payloads, EIO3', [
  ...table(3, {
    'abc': 'abc',
    'an empty body': '',
    'a colon': ':',
    'a length of nothing': `:${sync(1)}`,
    'zero': '0:',
    'zero, then a packet': `0:${payload(3, sync(1))}`,
    'three packets': payload(3, sync(1), sync(2), sync(3)),
    'a length too short': `5:${sync(1)}`,
    'a length too long': `500:${sync(1)}`,
    'a length too long behind a packet': `${payload(3, sync(1))}500:${sync(2)}`,
    'a negative length': `-1:${sync(1)}`,
    'a negative length that jumps back': `${payload(3, sync(1))}-5:${sync(2)}`,
    'a huge length': `99999999999999999999:${sync(1)}`,
    'a length of 400 digits': `${'9'.repeat(400)}:${sync(1)}`,
    'a length with a sign': `+11:${sync(1)}`,
    'a length with a fraction': `11.5:${sync(1)}`,
    'a length with an exponent': `11e0:${sync(1)}`,
    'a hexadecimal length': `0xb:${sync(1)}`,
    'a length with a space': ` 11:${sync(1)}`,
    'a length with zeros in front': `0011:${sync(1)}`,
    'Infinity for a length': `Infinity:${sync(1)}`,
    'NaN for a length': `NaN:${sync(1)}`,
    'text behind the last packet': `${payload(3, sync(1))}abc`,
    'a colon behind the last packet': `${payload(3, sync(1))}:`,
    'a digit behind the last packet': `${payload(3, sync(1))}1`,
    'a wrong packet between two': payload(3, sync(1), 'x', sync(2)),
    'a close packet between two': payload(3, sync(1), '1', sync(2)),
    'a pong between two': payload(3, sync(1), '3', sync(2)),
    'a ping': payload(3, '2'),
    'unicode, counted in UTF-16': payload(3, '421["sync","Zoë 😀"]', sync(2)),
    'unicode, counted in bytes': `${Buffer.byteLength('421["sync","Zoë 😀"]')}:421["sync","Zoë 😀"]`,
    'unicode, counted in characters': `${[...'421["sync","😀"]'].length}:421["sync","😀"]`,
    'a length that ends inside a surrogate pair': '12:421["sync","😀"]',
    'an event with its attachment': payload(3, '451-7["sync",{"_placeholder":true,"num":0}]', 'b4AQID'),
    'an EIO4 payload': payload(4, sync(1), sync(2)),
    'a chunked body': [payload(3, sync(1), sync(2)), { chunked: true }],
    'bytes that are not UTF-8': Buffer.from([0x32, 0x3a, 0x34, 0xff]),
    '500 packets': payload(3, ...Array.from({ length: 500 }, (_, id) => sync(id))),
    'binary: an event': [binaryPayload(sync(1)), { headers: OCTETS }],
    'binary: three events': [binaryPayload(sync(1), sync(2), sync(3)), { headers: OCTETS }],
    'binary: an event with its attachment': [binaryPayload('451-7["sync",{"_placeholder":true,"num":0}]', Buffer.from([4, 1, 2])), { headers: OCTETS }],
    'binary: a wrong packet': [binaryPayload('x'), { headers: OCTETS }],
    'binary: an empty body': ['', { headers: OCTETS }],
    'binary: text': [sync(1), { headers: OCTETS }],
    'binary: no length': [Buffer.from([0, 255, 0x34]), { headers: OCTETS }],
    'binary: a length too long': [Buffer.from([0, 9, 9, 255, 0x34, 0x32]), { headers: OCTETS }],
    'binary: a length of 400 digits': [Buffer.from([0, ...Array(400).fill(9), 255, 0x34]), { headers: OCTETS }],
    'binary: a length without end': [Buffer.from([0, 1, 2]), { headers: OCTETS }],
    'binary: a kind that is neither': [Buffer.from([7, 1, 255, 0x32]), { headers: OCTETS }],
    'binary: a close packet': [binaryPayload('1'), { headers: OCTETS }],
  }, {
    ...Object.fromEntries(['a sign', 'an exponent', 'a space'].map((one) => [`a length with ${one}`, LENGTH])),
    'a hexadecimal length': LENGTH,
    'binary: an empty body': 'an empty body is an error, as it is in text',
    'binary: a length too long': 'a packet that breaks off is an error, as it is in text',
    'binary: a kind that is neither': 'there are two kinds',
  }),
  ...limits(3),
]);

// One GET and one POST at a time is what clients do.
const half = (session, signal) => session.post('4', { headers: { 'Content-Length': 100 }, signal });

// over waits until a session that was broken off is gone: the servers notice
// it when the kernel tells them.
const over = async (session) => ({
  gone: await until(async () => (await session.post(payload(session.eio, '6'))).status === 400, 'the end').catch(() => false),
});

compare('requests that overlap or break off', [4, 3].flatMap((eio) => [
  {
    name: `two GETs, EIO${eio}`,
    run: withSession({ eio, poll: false }, async (session) => {
      const answers = await Promise.all([session.get(), session.get()]);
      const refused = answers.filter(({ status }) => status !== 200);
      return { statuses: answers.map(({ status }) => status).sort(), refused: refused.map(answered) };
    }),
  },
  {
    name: `a second POST while one is being sent, EIO${eio}`,
    run: withSession({ eio }, async (session) => {
      const abort = new AbortController();
      const first = half(session, abort.signal);
      const { status } = await until(async () => {
        const answer = await session.post(payload(eio, '6'));
        return answer.status !== 200 && answer;
      }, 'the refusal');
      abort.abort();
      await first;
      return { status, ...await over(session) };
    }),
  },
  {
    name: `a waiting GET hears of the end, EIO${eio}`,
    async run(server) {
      // Whether the GET waits when the POST comes cannot be known: try again.
      const told = await until(async () => {
        const session = await PollSession.open(server, { eio, query: { presence: 'none' } });
        await session.post(payload(eio, 'x'));
        await session.pollEnded;
        return session.packets.includes('1');
      }, 'a GET that waits').catch(() => false);
      return { told };
    },
  },
  {
    name: `a POST that breaks off, EIO${eio}`,
    run: withSession({ eio }, async (session) => {
      await breakOff(session.server, { method: 'POST', query: session.query, headers: { 'Content-Length': 100 }, body: '4' });
      return over(session);
    }),
  },
  {
    name: `a GET that breaks off, EIO${eio}`,
    run: withSession({ eio, poll: false }, async (session) => {
      await breakOff(session.server, { query: session.query });
      return over(session);
    }),
  },
]));

// JSONP: answers are scripts, posts are forms.
const jsonp = (eio, body, options = {}) => withSession({ eio, query: { b64: '1' } }, async (session) => {
  session.query = { ...session.query, j: '7' };
  const { status } = await session.post(body, { headers: FORM, ...options });
  return { status };
});
// form is what the JSONP transport of the clients posts.
const form = (text) => `d=${encodeURIComponent(text.replace(/\\n/g, '\\\n').replace(/\n/g, '\\n'))}`;

compare('JSONP', [4, 3].flatMap((eio) => [
  {
    name: `a handshake, EIO${eio}`,
    rollcall: { type: 'text/javascript; charset=UTF-8' }, because: 'a browser runs nothing of another type when nosniff is set',
    async run(server) {
      const probe = Object.assign(new PollSession(), { server, query: { EIO: eio, transport: 'polling', j: '3', b64: '1' } });
      const { status, headers, body } = await probe.request({});
      return { status, type: headers['content-type'], shape: body.replace(/\d*:?0\{.*?\}(?:2:40)?/, '…') };
    },
  },
  ...['1', '12', 'x1', '', 'alert(1)//', '1;alert(1)'].map((j) => ({
    name: `j=${j}, EIO${eio}`,
    async run(server) {
      const probe = Object.assign(new PollSession(), { server, query: { EIO: eio, transport: 'polling', j } });
      const { status, body } = await probe.request({});
      return { status, head: /^[^"]*/.exec(body)[0] };
    },
  })),
  { name: `a form in a session that began without, EIO${eio}`, run: jsonp(eio, form(payload(eio, sync(1), sync(2)))) },
  {
    name: `a whole session, EIO${eio}`,
    async run(server) {
      const session = Object.assign(new JsonpSession(), { server, eio, query: { EIO: eio, transport: 'polling', j: '0', b64: '1', presence: 'none' } });
      await session.begin();
      const statuses = [];
      for (const body of [form(payload(eio, sync(1))), form(payload(eio, '422["sync","a\\nb"]')), form(payload(eio, '423["sync","Zoë 😀 \u2028"]'))]) {
        statuses.push((await session.post(body, { headers: FORM })).status);
        await session.get();
      }
      return { statuses, replies: session.replies, script: session.script };
    },
  },
  ...['', 'd=', 'e=1', 'd', 'd=%', 'd=%zz', `d=${'x'.repeat(100)}`, 'd=abc&d=abc'].map((body) => ({
    name: `the form ${JSON.stringify(body.slice(0, 20))}, EIO${eio}`,
    async run(server) {
      const session = Object.assign(new JsonpSession(), { server, eio, query: { EIO: eio, transport: 'polling', j: '0', b64: '1', presence: 'none' } });
      await session.begin();
      const { status } = await session.post(body, { headers: FORM });
      const after = await session.post(form(payload(eio, sync(9))), { headers: FORM });
      return { status, after: after.status };
    },
    ...(['', 'e=1', 'd=abc&d=abc'].includes(body) && { rollcall: { after: 400 }, because: 'a form without one d is an error; Node forgets it' }),
  })),
]));

class JsonpSession extends PollSession {
  async begin() {
    await this.get();
    this.sid = JSON.parse(this.packets.shift().slice(1)).sid;
    this.query.sid = this.sid;
    if (this.eio === 4) await this.post(form('40'), { headers: FORM });
    while (!this.packets.some((packet) => packet.startsWith('40'))) await this.get();
    this.played();
  }

  // decode runs the script: a function call with one string.
  decode(answer) {
    const [, script, text] = /^(___eio\[\d+\])\(("[^]*")\);$/.exec(answer.body);
    this.script = script;
    return super.decode({ ...answer, body: JSON.parse(text) });
  }
}
