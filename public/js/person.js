// What can be shown of a user object. Clients can register objects of any shape, so
// these functions return short, plain text that cannot break a line's direction or
// height.

const MAX_NAME = 60;
const NAME_FIELDS = [
  "name", "display_name", "displayName", "full_name", "fullName", "nickname", "nick",
  "username", "user_name", "userName", "login", "handle", "email",
];

// Control and direction characters, lone surrogates, and letters that are blank.
const UNPRINTABLE = /[\p{Cc}\p{Cs}\u00AD\u061C\u115F\u1160\u180E\u200B\u200E\u200F\u2028-\u202E\u2060-\u206F\u2800\u3164\uFEFF\uFFA0\uFFF9-\uFFFB]+/gu;
const PILED_MARKS = /(\p{M}{3})\p{M}+/gu;
const VISIBLE = /[\p{L}\p{N}\p{P}\p{S}]/u;
const WORD = /[\p{L}\p{N}\p{So}]/u;

// plain makes a line of text from a string or number, and "" from all else.
export function plain(value, max = MAX_NAME) {
  if (typeof value === "number" && Number.isFinite(value)) value = String(value);
  if (typeof value !== "string") return "";
  const text = value.slice(0, max * 8).replace(UNPRINTABLE, " ").replace(PILED_MARKS, "$1")
    .replace(/\s+/gu, " ").trim();
  if (!VISIBLE.test(text)) return "";
  const signs = Array.from(text);
  return signs.length > max ? signs.slice(0, max - 1).join("").trim() + "…" : text;
}

// prose makes a text of several lines from a string, and "" from all else.
export function prose(value, max = 4000) {
  if (typeof value !== "string") return "";
  const lines = value.slice(0, max * 2).split(/\r\n|[\n\r\u0085\u2028\u2029]/);
  return lines.map((line) => line.replace(UNPRINTABLE, " ").replace(PILED_MARKS, "$1").trimEnd())
    .join("\n").replace(/\n{3,}/g, "\n\n").trim();
}

export function nameOf(user) {
  const data = user !== null && typeof user === "object" ? user : { name: user };
  for (const field of NAME_FIELDS) {
    const text = plain(data[field]);
    // A whole address is private; the part before the @ suffices.
    if (text) return field === "email" ? text.replace(/(.)@.*/u, "$1") : text;
  }
  const id = plain(data.id, 12);
  return id ? `User ${id}` : "Someone";
}

// initialsOf returns one or two characters, whole ones even for emoji.
export function initialsOf(name) {
  const words = name.split(/[\s._-]+/u).filter((word) => WORD.test(word));
  const first = words[0] ?? name;
  const last = words.length > 1 ? words[words.length - 1] : "";
  const signs = [first, last].map(leadingSign).filter(Boolean);
  // Two emoji do not fit into one circle.
  return (/\p{L}|\p{N}/u.test(signs[0] ?? "") ? signs.join("") : signs[0] ?? Array.from(name)[0] ?? "?").toUpperCase();
}

function leadingSign(word) {
  if (!WORD.test(word)) return "";
  const from = word.slice(word.search(WORD));
  const sign = globalThis.Intl?.Segmenter
    ? new Intl.Segmenter().segment(from)[Symbol.iterator]().next().value.segment
    : Array.from(from)[0];
  return sign.length > 16 ? Array.from(sign)[0] : sign;
}

// hueOf returns a key's colour, one of 24 distinct ones.
export function hueOf(key) {
  let hash = 0x811c9dc5;
  for (let i = 0; i < Math.min(key.length, 200); i++) {
    hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  hash ^= hash >>> 13;
  return ((hash >>> 0) % 24) * 15;
}

// sinceOf returns a user's `since` in milliseconds, or NaN where it has no plausible
// one. It accepts seconds and ISO dates too.
export function sinceOf(user, now = Date.now()) {
  const value = user?.since;
  let at = typeof value === "string" ? Date.parse(value.slice(0, 40)) : Number(value ?? NaN);
  if (at < 1e11) at *= 1000;
  const sensible = at > Date.UTC(2010, 0) && at < now + 10 * 60_000; // clocks differ
  return sensible ? Math.min(at, now) : NaN;
}

export function ago(ms) {
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 1) return "just now";
  if (minutes < 60) return `${minutes} min`;
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h`;
  return `${Math.floor(minutes / 60 / 24)} days`;
}
