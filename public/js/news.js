// Announces joins and leaves to screen readers: the last state in one sentence, once in
// a few seconds at most.

import { nameOf } from "./person.js";

const PAUSE = 5000;
const NAMED = 2; // by name; more are counted

// newsOf returns a function to call for every change of the roster.
export function newsOf(region) {
  let before; // slot → user, as last announced
  let pending;

  function say(roster) {
    const now = new Map(Array.from(roster.entries(), ({ slot, user }) => [slot, user]));
    const parts = before
      ? [sentence(missing(now, before), "joined"), sentence(missing(before, now), "left")].filter(Boolean)
      : [];
    if (before && parts.length === 0) return;
    before = now;
    region.textContent = [...parts, `${now.size} online.`].join(" ");
  }

  return (roster) => {
    pending ??= setTimeout(() => {
      pending = undefined;
      say(roster);
    }, before ? PAUSE : 0);
  };
}

function missing(all, from) {
  return [...all].filter(([slot]) => !from.has(slot)).map(([, user]) => user);
}

function sentence(users, verb) {
  if (users.length === 0) return "";
  const who = users.length <= NAMED ? users.map(nameOf).join(" and ") : `${users.length} people`;
  return `${who} ${verb}.`;
}
