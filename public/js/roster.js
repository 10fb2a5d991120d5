// The list of online users from the server: snapshots replace it, deltas change it. The
// order is the server's, that of joining. Statuses come beside the users; without one a
// user is active.

// keyOf is a user's identity, as for the server: 5 and "5" are one user, an empty id is
// none. Without a reliable id (JavaScript rounds large integers) it is the text of the
// object.
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

  // fresh: a snapshot has come since the connection was made. Deltas before it have no
  // base.
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

  // away returns the away users.
  away() {
    return Array.from(this.#entries.values()).filter((entry) => entry.away).map((entry) => entry.user);
  }

  // replace takes a snapshot, and by id the statuses of the users that are not active.
  // Known users keep the time when they were first seen.
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

  // add, update and remove return false where a delta does not fit the list; then a new
  // snapshot is needed. `more` may have a status.
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
    // Of several equal ones the last is removed.
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
