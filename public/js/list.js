// Draws the entries of a roster as rows. It changes only what differs, and never has
// more rows than the limit, so that ten thousand users cost what a screenful costs.

import { ago, hueOf, initialsOf, nameOf, sinceOf } from "./person.js";

const ARRIVAL = 1000;

export class List {
  #ul;
  #rows = new Map(); // slot → row
  #drawn = false;

  constructor(ul) {
    this.#ul = ul;
  }

  // draw shows entries, which the caller has cut to its limit. `mine` is the key of the user that is "you".
  draw(entries, mine) {
    const wanted = new Set(entries.map((entry) => entry.slot));
    for (const [slot, row] of this.#rows) {
      if (wanted.has(slot)) continue;
      row.li.remove();
      this.#rows.delete(slot);
    }
    let place = this.#ul.firstElementChild;
    for (const entry of entries) {
      const row = this.#rows.get(entry.slot) ?? this.#make(entry);
      fill(row, entry, entry.key === mine);
      if (row.li === place) place = place.nextElementSibling;
      else this.#ul.insertBefore(row.li, place);
    }
    this.#drawn = true;
  }

  // tick updates the times.
  tick() {
    for (const row of this.#rows.values()) tell(row);
  }

  #make(entry) {
    const li = document.createElement("li");
    const avatar = li.appendChild(part("span", "avatar"));
    avatar.setAttribute("aria-hidden", "true");
    avatar.style.setProperty("--hue", hueOf(entry.key));
    const row = {
      li,
      initials: avatar.appendChild(part("span")),
      name: li.appendChild(part("bdi", "name")),
      you: li.appendChild(part("span", "tag you")),
      away: li.appendChild(part("span", "tag away")),
      since: li.appendChild(part("time", "since")),
    };
    row.you.textContent = "you";
    row.away.textContent = "away";
    // A changed filter and the first drawing are no arrivals.
    if (this.#drawn && Date.now() - entry.seen < ARRIVAL) li.className = "new";
    this.#rows.set(entry.slot, row);
    return row;
  }
}

function part(tag, className = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  return element;
}

function fill(row, entry, mine) {
  if (row.user !== entry.user || row.mine !== mine) {
    row.user = entry.user;
    row.mine = mine;
    const name = nameOf(entry.user);
    row.name.textContent = row.name.title = name;
    row.initials.textContent = initialsOf(name);
    const since = sinceOf(entry.user);
    row.at = Number.isNaN(since) ? entry.seen : since;
    // The user was listed before this page, without a time.
    row.early = Number.isNaN(since) && entry.early && !mine;
    row.since.dateTime = new Date(row.at).toISOString();
    row.since.title = `${row.early ? "before" : "since"} ${new Date(row.at).toLocaleString()}`;
    tell(row);
  }
  row.you.hidden = !mine;
  row.away.hidden = !entry.away;
  row.li.classList.toggle("resting", entry.away);
}

function tell(row) {
  const text = ago(Date.now() - row.at);
  const shown = !row.early ? text : text === "just now" ? "already here" : `over ${text}`;
  if (row.since.textContent !== shown) row.since.textContent = shown;
}
