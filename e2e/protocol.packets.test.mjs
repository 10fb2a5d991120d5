// Packets of every kind, right and wrong, each in a session of its own: what Node
// does, Rollcall does. Packets whose treatment depends on the transport or on the
// protocol go over all four kinds of sessions, others over one kind, in turn.
import { compare, frames } from './lib/compare.mjs';

const hole = (num) => `{"_placeholder":true,"num":${num}}`;
const nested = (open, close, depth) => open.repeat(depth) + close.repeat(depth);
const RESERVED = ['connect', 'connect_error', 'disconnect', 'disconnecting', 'newListener', 'removeListener', 'error', 'connection', 'ping', 'pong', 'data', 'message', 'close', 'open', '__proto__', 'constructor', 'toString', ''];

// name: packets. Text packets only, so that all four sessions can carry them.
const dependent = {
  ...Object.fromEntries(['0', '0{"sid":"x"}', '1', '1x', '2', '2x', '2probe', '3', '3x', '3probe', '4', '5', '5x', '6', '6x', '7', '9', 'x', ' ', '\n', 'ü', '😀', '\u0000', 'b', 'b!', 'bAQID', 'b4AQID', 'b4'].map((one) => [JSON.stringify(one), [one]])),

  ...Object.fromEntries([
    '40', '40/', '40/,', '40{}', '40{"a":1}', '40[]', '40"x"', '40null', '401', '40x', '40{', '40/unknown', '40/unknown,', '40/unknown,{}', '40/unknown?a=b,', '40/,{}',
    '41', '41{}', '41x', '41/', '41/unknown', '41/unknown,',
  ].map((one) => [JSON.stringify(one), [one]])),
  'CONNECT 5,000 deep': [`40${nested('[', ']', 5000)}`],
  'CONNECT payload of 60,000 bytes': [`40{"a":"${'x'.repeat(60_000)}"}`],
  'three CONNECTs': ['40', '40', '40'],
  'DISCONNECT and CONNECT again': ['41', '40'],
  'an attachment as base64, as protocol 4 has it': [`451-7["sync",${hole(0)}]`, 'bAQID'],
  'an attachment as base64, as protocol 3 has it': [`451-7["sync",${hole(0)}]`, 'b4AQID'],
  'an empty attachment as base64': [`451-7["sync",${hole(0)}]`, 'b4'],
};

const independent = {
  ...Object.fromEntries([
    '42', '42[]', '42{}', '42"sync"', '42null', '421', '42[null]', '42[1]', '42[0]', '42[-1.5]', '42[true]', '42[{}]', '42[[]]', '42[[["sync"]]]',
    '42["sync"', '42["sync"]x', '42["sync"],', '42["sync"]]', '42["sync"]["sync"]', '42 ["sync"]', '42["sync"] ', '42["sync",]', "42['sync']", '42[sync]', '42["sync",NaN]', '42["sync",1e999]', '42["sync",01]', '42["\\ud800"]', '42["sync","\\u0000"]', '42["sync","\u0001"]', '42["\ufeffsync"]', '\ufeff42["sync"]',
    '42["nobody listens to this"]', '42["sync",1,2,3,null]', '42["register"]', '42["register",{"__proto__":{"x":1}}]', '42["register",{"id":1,"id":2}]',
    '42/unknown', '42/unknown,["sync"]', '42/,["sync"]', '42/["sync"]', '42,["sync"]',
    '42-1["sync"]', '42+1["sync"]', '421.5["sync"]', '421e3["sync"]', '420["sync"]', '42007["sync"]',
    '43', '43[]', '43["x"]', '431', '431[]', '431["x"]', '431{}', '431"x"', '431null', '43 1[]', '4399999999999999999999[]',
    '44', '44{}', '44{"message":"x"}', '44"x"', '44[]', '44/unknown,{}',
    '45', '45-', '45[]', '450-', '450-["sync"]', '450-[]', '450', '451', '451-', '451["sync"]', '451.5-["sync"]', '45-1-["sync"]', '451e1-["sync"]', '45x-["sync"]', '45 1-["sync"]', '4501-["sync"]', '450-{}', '450-1["sync"]',
    '459999999999-["sync"]', '451000000-["sync"]', '4510-["sync"]', '4511-["sync"]', '4512-["sync"]',
    '451-["sync"]', `451-["sync",${hole(0)}]`, `451-["sync",${hole(1)}]`, `450-["sync",${hole(0)}]`, `42["sync",${hole(0)}]`, '451-{}', '451-[]', '451-[1]', '451-x',
    '46', '460-', '460-[]', '4601-[]', '461-', '461-[]', `461-1[${hole(0)}]`, '460-1[]',
    '47', '48', '49', '4x', '4 ', '4ü',
  ].map((one) => [JSON.stringify(one), [one]])),

  ...Object.fromEntries(RESERVED.map((event) => [`event named ${JSON.stringify(event)}`, [`42${JSON.stringify([event])}`]])),
  ...Object.fromEntries([1, 9, 10, 15, 16, 17, 19, 20, 21, 22, 40].map((digits) => [`an acknowledgement id of ${digits} digits`, [`42${'1'.repeat(digits)}["sync"]`]])),
  'arrays 200 deep': [`42["sync",${nested('[', ']', 200)}]`],
  'arrays 5,000 deep': [`42["sync",${nested('[', ']', 5000)}]`],
  'arrays 30,000 deep': [`42["sync",${nested('[', ']', 30_000)}]`],
  'objects 5,000 deep': [`42["sync",${nested('{"a":', '}', 5000).replace(':}', ':0}')}]`],
  'arrays that never close': [`42["sync",${'['.repeat(30_000)}`],
  '10,000 arguments': [`42["sync"${',1'.repeat(10_000)}]`],
  'an event of 60,000 bytes': [`42["sync","${'x'.repeat(60_000)}"]`],
  'an event name of 10,000 characters': [`42["${'x'.repeat(10_000)}"]`],
  'a namespace of 10,000 characters': [`40/${'x'.repeat(10_000)},`],
  'text when an attachment is due': [`451-["sync",${hole(0)}]`, '42["sync"]'],
  'a second binary event when an attachment is due': [`451-["sync",${hole(0)}]`, `451-["sync",${hole(0)}]`],
};

const kinds = [
  { via: 'ws', eio: 4 }, { via: 'ws', eio: 3 }, { via: 'polling', eio: 4 }, { via: 'polling', eio: 3 },
];

const TOO_LARGE = 'one message is at most 64 KiB in Rollcall, 1 MB in Node';

// Where Rollcall is meant to differ in a table packet, on every transport.
const closes = { ws: { session: 'closed 1005', replies: [] }, polling: { session: 'ended', replies: [] } };
const acknowledges = (reply) => ({ ws: { replies: [reply] }, polling: { replies: [reply] } });
const ROUNDED = 'Node answers an id past 2^53 rounded; no client counts that far';
const meant = {
  '"421"': { ...acknowledges('431'), because: 'who asks for an acknowledgement gets a refusal, not silence' },
  [JSON.stringify('42 ["sync"]')]: { ws: { replies: [] }, polling: { replies: [] }, because: 'Node takes a space for the acknowledgement id 0' },
  '"43 1[]"': { ...closes, because: 'Node takes a space for part of the id' },
  '"4399999999999999999999[]"': { ...closes, because: ROUNDED },
  ...Object.fromEntries([17, 19, 20, 21, 22, 40].map((digits) => [`an acknowledgement id of ${digits} digits`, { ...closes, because: ROUNDED }])),
  'arrays 30,000 deep': { ...closes, because: 'Go reads JSON 10,000 deep, which no user object is' },
};
// Bytes may come as base64 over every transport. In protocol 3 a packet type is
// behind the b: if there is none, or an unknown one, Node reads a packet without
// a type and forgets it.
const meantEIO3 = Object.fromEntries(['"b"', '"b!"', '"bAQID"'].map((name) => [name, { ...closes, because: 'a packet without a type is an error' }]));
const meantEIO4 = Object.fromEntries(['an attachment as base64, as protocol 3 has it', 'an empty attachment as base64'].map((name) => [name, { ...closes, because: 'base64 has its padding' }]));

const difference = ({ via, eio }, name) => {
  const found = meant[name] ?? (eio === 3 ? meantEIO3 : meantEIO4)[name];
  return found && { rollcall: found[via], because: found.because };
};

const over = (kind, [name, packets]) => ({
  name: `${name}, ${kind.via} EIO${kind.eio}`, run: frames(kind, ...packets), ...difference(kind, name),
});
compare('packets over every kind of session', kinds.flatMap((kind) => Object.entries(dependent).map((packet) => over(kind, packet))));
compare('packets over one kind of session', Object.entries(independent).map((packet, n) => over(kinds[n % kinds.length], packet)));

compare('packets before CONNECT, EIO4', ['41', '42["sync"]', '421["sync"]', '431[]', '44', '450-["sync"]', '451-["sync"]', '42', '3', '6', '40/unknown,', '40x'].flatMap((packet) =>
  ['ws', 'polling'].map((via) => ({ name: `${via} ${packet}`, run: frames({ via, eio: 4, connect: false }, packet) }))));

// Binary messages, which only a WebSocket carries as they are.
const bytes = Buffer.from([1, 2, 3]);
const binary = {
  'bytes when none are due': [bytes],
  'no bytes when none are due': [Buffer.alloc(0)],
  'an event with its attachment': [`451-["sync",${hole(0)}]`, bytes],
  'an event with two attachments': [`452-7["sync",${hole(0)},${hole(1)}]`, bytes, bytes],
  'an empty attachment': [`451-["sync",${hole(0)}]`, Buffer.alloc(0)],
  'one attachment too many': [`451-["sync",${hole(0)}]`, bytes, bytes],
  'a hole that points past the attachments': [`451-["sync",${hole(1)}]`, bytes],
  'a hole with a negative number': [`451-["sync",${hole(-1)}]`, bytes],
  'a hole with a fraction': [`451-["sync",${hole(0.5)}]`, bytes],
  'a hole with a text for a number': [`451-["sync",${hole('"0"')}]`, bytes],
  'a hole without a number': ['451-["sync",{"_placeholder":true}]', bytes],
  'a hole that is none': ['451-["sync",{"_placeholder":false,"num":0}]', bytes],
  'an attachment that nothing points to': ['451-["sync"]', bytes],
  'the same attachment twice': [`451-["sync",${hole(0)},${hole(0)}]`, bytes],
  'a hole for an event name': [`451-[${hole(0)}]`, bytes],
  'a user with an attachment inside': [`451-5["register",{"id":"x","picture":${hole(0)}}]`, bytes],
  'a binary acknowledgement nobody awaits': [`461-1[${hole(0)}]`, bytes],
  'bytes after a text that broke off': [`451-["sync",${hole(0)}`, bytes],
  'a binary event without payload, and bytes': ['451-', bytes],
  'an event named connect with an attachment': [`451-["connect",${hole(0)}]`, bytes],
};
const typed = { rollcall: { session: 'closed 1005', replies: [] }, because: 'binary WebSocket messages carry messages only' };
// Node looks at the holes before it knows the event, Rollcall not at all.
const holes = ['a hole that points past the attachments', 'a hole with a negative number', 'a hole with a text for a number', 'a hole without a number'];
const refusal = { rollcall: { session: 'alive' }, because: 'binary events are refused by name, right or wrong ones' };
for (const eio of [4, 3]) {
  const prefixed = (one) => (Buffer.isBuffer(one) && eio === 3 ? Buffer.concat([Buffer.from([4]), one]) : one);
  const kind = { via: 'ws', eio };
  compare(`binary messages, EIO${eio}`, [
    ...Object.entries(binary).map(([name, packets]) => ({ name, run: frames(kind, ...packets.map(prefixed)), ...(holes.includes(name) && refusal) })),
    ...(eio === 3 ? [0, 1, 2, 5, 6, 7, 200].map((type) => ({
      name: `bytes of type ${type}`, run: frames(kind, Buffer.from([type, 1])), ...typed,
    })) : []),
    ...(eio === 3 ? [{ name: 'bytes of type 3', run: frames(kind, Buffer.from([3, 1])) }] : []),
    { name: 'an empty binary message', run: frames(kind, Buffer.alloc(0)), ...(eio === 3 && typed) },
    { name: 'an empty text message', run: frames(kind, '') },
    ...Object.entries({
      'a lone continuation byte': [0x34, 0x32, 0x80], 'an overlong slash': [0x34, 0x32, 0xc0, 0xaf],
      'half a sequence': [0x34, 0x32, 0xe2, 0x82], 'a surrogate': [0x34, 0x32, 0xed, 0xa0, 0x80], 'bytes 0xff': [0xff, 0xff],
    }).map(([name, raw]) => ({ name: `text that is not UTF-8: ${name}`, run: frames(kind, { text: Buffer.from(raw) }) })),
    {
      name: 'a message of 70,000 bytes', run: frames(kind, `42["sync","${'x'.repeat(70_000)}"]`),
      rollcall: { session: 'closed 1009' }, because: TOO_LARGE,
    },
    // What is sent behind it can cost it the reason for the end.
    { name: 'a message of 1,100,000 bytes', run: frames({ ...kind, last: true }, `42["sync","${'x'.repeat(1_100_000)}"]`) },
    {
      name: 'an attachment of 70,000 bytes', run: frames(kind, `451-["sync",${hole(0)}]`, prefixed(Buffer.alloc(70_000))),
      rollcall: { session: 'closed 1009' }, because: TOO_LARGE,
    },
  ]);
}
