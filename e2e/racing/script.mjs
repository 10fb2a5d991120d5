// A script is what the clients of one play do, made from a seed: a cast and
// steps. A step is a list of acts: of one client, one behind the other, or a
// crowd's, several clients at once with one act each.
//
// act: {client, does, …}; heard says whether the Node service answers it with
// a broadcast (it ignores who races without taking part).
import { modes } from '../lib/clients.mjs';
import { Chance } from './seed.mjs';

const TOKENS = ['lobby_1', 'Grüße 山', 'constructor'];
const RACES = [7, '7', 8, '__proto__', 'x_speed'];
const SPEEDS = [0, 42.5, -1, 1e21, '72 wpm', null, true, ['a', 1], { deep: { list: [1, null, 'ü'] } }];

const WEIGHTS = { leave: 6, register: 10, invite: 7, join: 16, start: 10, car: 10, speed: 14 };

// What a client does not do in a row with others: pages change with it.
const ALONE = new Set(['connect', 'leave', 'register', 'watch stage', 'watch race']);

// writeScript options: versions of the clients; size is the number of clients
// and users that of different user ids, so that users < size gives tabs;
// crowds: the probability of a step of several at once; orderly crowds hold
// only acts whose outcome does not depend on their order, but for the places
// in a list. objects: speeds are always of cars, as pages need them;
// watching: some watch, too, which is Rollcall's own; rows: the probability of
// several acts in a row.
export function writeScript({ seed, versions, steps = 40, size = 7, users = 5, crowds = 0.3, orderly = false, objects = false, watching = false, rows = 0.2 }) {
  const chance = new Chance(seed);
  const kinds = chance.shuffled(versions.flatMap((version) => Object.keys(modes).map((mode) => ({ version, mode }))));
  // The versions first, so that all of them play.
  const cast = Array.from({ length: size }, (_, n) => {
    const version = versions[n % versions.length];
    const kind = kinds.filter((one) => one.version === version)[Math.floor(n / versions.length) % 3];
    // Not c0: Backbone has names of that form for what has no id.
    return { name: `p${n}`, ...kind, guest: n === size - 1 };
  });
  const writer = new Writer({ chance, cast, users, orderly, objects, watching, rows });
  const written = [writer.everybody('connect')];
  while (written.length < steps) {
    const step = chance.happens(crowds) ? writer.crowd() : writer.alone();
    if (step.length > 0) written.push(step);
  }
  // At the end something that everybody hears of.
  written.push([writer.act(cast[0], 'connect')].filter(Boolean), [writer.act(cast[0], 'register')]);
  return { seed, cast, steps: written.filter((step) => step.length > 0) };
}

// refusals are the codes with which Rollcall refuses what a client does in
// vain.
export function refusals(script, name) {
  const codes = { start: 'not_in_stage', speed: 'not_in_race' };
  return script.steps.flat().filter((act) => act.client === name && !act.heard && codes[act.does]).map((act) => codes[act.does]);
}

// Writer knows what each client is in, to tell what will be heard.
class Writer {
  constructor({ chance, cast, users, orderly, objects, watching, rows }) {
    Object.assign(this, { chance, cast, users, orderly, objects, watching, rows });
    this.revision = 0;
    this.state = new Map(cast.map((client) => [client, gone()]));
  }

  everybody(does) {
    return this.cast.map((client) => this.act(client, does));
  }

  // alone: one client, mostly one act, sometimes some in a row.
  alone() {
    const client = this.chance.of(this.cast);
    const many = this.chance.happens(this.rows) ? 2 + this.chance.below(4) : 1;
    const acts = [];
    for (let n = 0; n < many; n++) {
      const does = this.choose(client);
      if (acts.length > 0 && ALONE.has(does)) break;
      const act = this.act(client, does);
      if (act) acts.push(act);
      if (ALONE.has(does)) break;
    }
    return acts;
  }

  crowd() {
    const acts = [];
    const claims = [];
    for (const client of this.chance.shuffled(this.cast).slice(0, 2 + this.chance.below(this.cast.length - 1))) {
      const before = structuredClone(this.state.get(client));
      const act = this.act(client, this.choose(client));
      if (!act) continue;
      const mine = claimed(act, before);
      if (this.orderly && mine.some((claim) => claims.some((other) => collide(claim, other)))) {
        this.state.set(client, before);
        continue;
      }
      claims.push(...mine);
      acts.push(act);
    }
    return acts;
  }

  choose(client) {
    if (!this.state.get(client).connected) return 'connect';
    return this.chance.weighed({
      ...WEIGHTS,
      ...(client.guest && { register: 0 }),
      ...(this.watching && { 'watch stage': 3, 'watch race': 3 }),
    });
  }

  // act is undefined where there is nothing to do.
  act(client, does) {
    const state = this.state.get(client);
    if ((does === 'connect') === state.connected) return undefined;
    return { client: client.name, does, heard: true, ...this[does](client, state) };
  }

  connect(client, state) {
    state.connected = true;
    return { heard: false };
  }

  leave(client, { registered }) {
    this.state.set(client, gone());
    const hows = ['disconnect', 'close', ...(client.mode === 'websocket' ? ['drop'] : [])];
    return { how: this.chance.of(hows), registered };
  }

  register(client, state) {
    // Mostly the same user as before; a client has a favourite.
    const usual = state.user ?? this.cast.indexOf(client) % this.users;
    state.user = this.chance.happens(0.8) ? usual : this.chance.below(this.users);
    state.registered = this.userObject(state.user);
    return { user: state.registered };
  }

  invite() {
    const { id } = this.userObject(this.chance.below(this.users));
    return { data: { id, url: `/stages/${this.chance.of(TOKENS)}`, nickname: 'Zoë', revision: ++this.revision } };
  }

  join(client, state) {
    const token = this.chance.of(TOKENS);
    state.stages.add(token);
    const id = state.user === undefined ? client.name : this.userObject(state.user).id;
    return { data: { token, id, nickname: `racer ${client.name}`, revision: ++this.revision } };
  }

  start(client, state) {
    const stranger = this.chance.happens(0.2) || state.stages.size === 0;
    const token = stranger ? this.chance.of(TOKENS) : this.chance.of([...state.stages]);
    return { token, heard: state.stages.has(token) };
  }

  car(client, state) {
    const race = this.chance.of(RACES);
    state.races.add(String(race));
    return { data: { race_id: race, id: `car ${client.name}`, position: 0, revision: ++this.revision } };
  }

  speed(client, state) {
    const stranger = this.chance.happens(0.2) || state.races.size === 0;
    const race = String(stranger ? this.chance.of(RACES) : this.chance.of([...state.races]));
    const speed = this.chance.of(SPEEDS);
    const whole = { id: `car ${client.name}`, position: this.chance.below(100), speed, revision: ++this.revision };
    // Node hands on whatever it is given; the application's pages need an object.
    const data = !this.objects && this.chance.happens(0.2) ? speed : whole;
    return { race, data, heard: state.races.has(race) };
  }

  // Rollcall's own: Node knows no spectators, it tells everybody.
  'watch stage'() {
    return { token: this.chance.of(TOKENS), heard: false };
  }

  'watch race'() {
    return { race: this.chance.of(RACES), heard: false };
  }

  // userObject: ids are numbers and strings; every object has the same fields.
  userObject(n) {
    return { id: n % 2 ? `u${n}` : n + 1, nickname: `Ни${n} 😀`, score: 0.5 + n, revision: ++this.revision };
  }
}

const gone = () => ({ connected: false, user: undefined, registered: undefined, stages: new Set(), races: new Set() });

// claimed: what an act's outcome depends on, [thing, way]. Two acts on one
// thing collide unless both go about it the same harmless way.
function claimed(act, { user, stages }) {
  const userOf = (n) => `user ${n % 2 ? `u${n}` : n + 1}`;
  const mine = user === undefined ? [] : [[userOf(user), 'alone']];
  switch (act.does) {
    case 'register': return [...mine, [`user ${act.user.id}`, 'alone']];
    case 'leave': return [...mine, ...[...stages].map((token) => [`stage ${token}`, 'come and go'])];
    case 'invite': return [[`user ${act.data.id}`, 'alone']];
    case 'join': return [[`stage ${act.data.token}`, 'come and go'], [`racer ${act.data.token} ${act.data.id}`, 'alone']];
    case 'start':
    case 'watch stage': return [[`stage ${act.token}`, 'alone']];
    case 'car': return [[`race ${act.data.race_id}`, 'come']];
    case 'speed': return [[`race ${act.race}`, 'drive']];
    case 'watch race': return [[`race ${act.race}`, 'alone']];
    default: return [];
  }
}

const collide = ([thing, way], [other, otherWay]) => thing === other && (way === 'alone' || way !== otherWay);
