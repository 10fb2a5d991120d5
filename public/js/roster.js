// The list of who is online, as told by the server: whole lists replace it,
// increments change it. Order is the server's, the order of joining. Statuses
// come beside the users; where nothing is said somebody is active.

// keyOf is a user's identity, as the server sees it: 5 and "5" are one user, an
// empty id is none. Without an id that we can trust (JavaScript rounds large
// integers) the text of the object has to do.
export function keyOf(user) {
  const id = user?.id;
  const known = typeof id === "number" ? !Number.isInteger(id) || Number.isSafeInteger(id)
    : typeof id === "string" && id !== "";
  return known ? `id ${id}` : `text ${JSON.stringify(user)}`;
}

const hasID = (key) => key.startsWith("id ");
const statusIn = (statuses, id) => (Object.hasOwn(statuses ?? {}, String(id)) ? statuses[id] : "active");
const slotOf = (key, n) => (n === 1 ? key : `${key} ${n}`);

export class Roster {
  #entries = new Map(); // slot → {key, slot, user, away, seen, early}; a Map keeps its order
  #alike = new Map(); // key without id → how many users look like that

  // fresh says that a whole list has come since the connection did. Before
  // that, increments have nothing to build upon.
  fresh = false;

  get size() {
    return this.#entries.size;
  }

  entries() {
    return this.#entries.values();
  }

  users() {
    return Array.from(this.#entries.values(), (entry) => entry.user);
  }

  find(user) {
    return this.#entries.get(keyOf(user));
  }

  // away is the users who are.
  away() {
    return Array.from(this.#entries.values()).filter((entry) => entry.away).map((entry) => entry.user);
  }

  // replace takes a whole list, and by id the statuses of those who are not
  // active. Who was known keeps the time we first saw them.
  replace(users, statuses, now = Date.now()) {
    const before = this.#entries;
    const early = before.size === 0 && !this.fresh;
    this.#entries = new Map();
    this.#alike = new Map();
    for (const user of Array.isArray(users) ? users : []) {
      const entry = this.#put(user, statusIn(statuses, user?.id), now, early);
      const known = before.get(entry.slot);
      if (known) Object.assign(entry, { seen: known.seen, early: known.early });
    }
    this.fresh = true;
  }

  // add, update and remove return false where an increment does not fit what
  // we have; then only a new whole list helps. `more` may have a status.
  add(user, more, now = Date.now()) {
    if (this.fresh) this.#put(user, more?.status, now, false);
    return true;
  }

  update(user, more, now = Date.now()) {
    if (!this.fresh) return true;
    const key = keyOf(user);
    const fits = hasID(key) && this.#entries.has(key);
    if (fits) this.#put(user, more?.status, now, false);
    return fits;
  }

  remove(user) {
    if (!this.fresh) return true;
    const key = keyOf(user);
    if (hasID(key)) return this.#entries.delete(key);
    // Of several that look alike, the last to come is as good as any.
    const n = this.#alike.get(key) ?? 0;
    this.#alike.set(key, n - 1);
    if (n <= 1) this.#alike.delete(key);
    return this.#entries.delete(slotOf(key, n));
  }

  #put(user, status, now, early) {
    const away = status === "away";
    const key = keyOf(user);
    let slot = key;
    if (hasID(key)) {
      const known = this.#entries.get(key);
      if (known) {
        return Object.assign(known, { user, away });
      }
    } else {
      const n = (this.#alike.get(key) ?? 0) + 1;
      this.#alike.set(key, n);
      slot = slotOf(key, n);
    }
    const entry = { key, slot, user, away, seen: now, early };
    this.#entries.set(slot, entry);
    return entry;
  }
}
