// A page of the original application, as far as it shows what the service
// tells: Backbone collections that are set whole, keyed by id.
import Backbone from 'backbone';

// An event's kind of collection, how its name begins and ends, what it does.
const EVENTS = [
  ['stages', 'update_stage_', '', (page, stage, racers) => stage.set(racers)],
  ['races', 'race_', '_update', (page, race, cars) => race.set(cars)],
  ['stages', 'start_race_', '', (page, stage, data, name) => page.started.push({ stage: name, ...data })],
  ['races', 'update_', '_speed', (page, race, data) => race.get(data?.id)?.set(data)],
];

// Page is loaded when a client connects. me is the user that it registers as.
export class Page {
  constructor() {
    this.online = undefined; // a collection, once the first list is there
    this.stages = new Map();
    this.races = new Map();
    this.invites = [];
    this.started = [];
    this.strays = [];
  }

  register(user) {
    this.me = user;
  }

  // What a page is about follows from where its user went.
  open(kind, name) {
    if (!this[kind].has(name)) this[kind].set(name, new Backbone.Collection());
  }

  receive([event, data]) {
    if (event === 'online_users') return this.showOnline(data);
    if (event === 'invite') return this.concerns(event, data?.id !== undefined && data.id === this.me?.id, () => this.invites.push(data));
    for (const [kind, start, end, act] of EVENTS) {
      if (!event.startsWith(start) || !event.endsWith(end)) continue;
      const name = event.slice(start.length, event.length - end.length);
      return this.concerns(event, this[kind].has(name), () => act(this, this[kind].get(name), data, name));
    }
    return this.concerns(event, false);
  }

  showOnline(users) {
    (this.online ??= new Backbone.Collection()).set(users);
  }

  // concerns keeps what this page has nothing to do with: Node tells everybody
  // everything.
  concerns(event, mine, act) {
    if (mine) act();
    else this.strays.push(event);
  }

  // show is all that there is to see, as plain data.
  show() {
    const all = (collections) => Object.fromEntries([...collections].map(([name, collection]) => [name, collection.toJSON()]));
    return {
      online: this.online?.toJSON(),
      stages: all(this.stages),
      races: all(this.races),
      invites: this.invites,
      started: this.started,
    };
  }
}
