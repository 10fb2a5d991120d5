// The page: the own user, the count and the state of the connection. The list is
// <rollcall-online>, as on any other site; chat and race draw themselves.

import { Chart } from "./js/chart.js";
import { Chat } from "./js/chat.js";
import { define } from "./js/element.js";
import { feedOf } from "./js/feed.js";
import { Me, friendlyName } from "./js/me.js";
import { newsOf } from "./js/news.js";
import { nameOf, plain, sinceOf } from "./js/person.js";
import { Race } from "./js/race.js";
import { Entry } from "./js/entry.js";
import { Rooms } from "./js/rooms.js";
import { Status } from "./js/status.js";
import { Track } from "./js/track.js";

const home = new URL("./", document.baseURI).href;
const $ = (id) => document.getElementById(id);

const me = new Me();
const feed = feedOf(home);
const owner = {}; // the page as a holder of the feed
const chart = new Chart($("chart"));
const news = newsOf($("news"));
const status = new Status(feed, me);
const rooms = new Rooms(feed, home);
const race = new Race(feed, home, () => me.name, () => status.present);
const track = new Track(race, {
  lanes: $("lanes"), more: $("more-cars"), line: $("race-line"), note: $("race-note"),
  join: $("race-join"), start: $("race-start"), drive: $("race-drive"), problem: $("race-problem"),
}, () => me.hidden);
new Chat(rooms, {
  tabs: $("tabs"), opener: $("opener"), logs: $("logs"), unsent: $("unsent"), members: $("members"), typing: $("typing"),
  say: $("say"), content: $("content"), problem: $("chat-problem"),
});
const entry = new Entry(feed, { form: $("entry"), token: $("token"), forget: $("forget") });
let renaming = false;
let since = 0;

if (entry.user) me.adopt(entry.user);
feed.hidden = me.hidden; // before anything is sent
define(home);
feed.hold(owner, null, entry.source);
rooms.start(me.joined ? me.name : "");
track.draw();

// The own user. Going online waits for the first list: another tab of this browser may
// be listed already, and its `since` applies.
function settle() {
  if (me.fixed) return feed.hold(owner, null, entry.source); // the token gives the user
  if (!feed.roster.fresh) return;
  if (!me.joined) {
    since = 0;
    return feed.hold(owner, null);
  }
  since ||= sinceOf(feed.roster.find({ id: me.id })?.user) || Date.now();
  feed.hold(owner, { id: me.id, name: me.name, since });
}

function showSelf() {
  const form = !me.joined || renaming;
  $("self-title").textContent = entry.needed ? "Token needed" : me.joined ? "You" : "Join the list";
  $("join").hidden = entry.needed || !form;
  $("here").hidden = entry.needed || form;
  $("rename").hidden = me.fixed;
  $("enter").textContent = me.joined ? "Save" : "Join";
  $("cancel").hidden = !me.joined;
  $("hint").hidden = me.joined;
  $("own-name").textContent = nameOf(me);
}

function edit() {
  $("name").value = me.name;
  showSelf();
  $("name").focus({ preventScroll: true });
  $("name").select();
}

$("join").addEventListener("submit", (event) => {
  event.preventDefault();
  renaming = false;
  me.become($("name").value);
  $("rename").focus();
});
$("another").addEventListener("click", () => {
  $("name").value = friendlyName();
  $("name").focus();
});
$("rename").addEventListener("click", () => {
  renaming = true;
  edit();
});
$("cancel").addEventListener("click", stopRenaming);
$("join").addEventListener("keydown", (event) => event.key === "Escape" && me.joined && stopRenaming());
$("leave").addEventListener("click", () => {
  if (me.fixed) return entry.use("");
  me.leave();
  edit();
});

// With a token the user is the token's, from the next connection on.
entry.addEventListener("token", () => {
  renaming = false;
  me.adopt(entry.user);
  feed.hold(owner, null, entry.source);
});
entry.addEventListener("change", showSelf);

function stopRenaming() {
  renaming = false;
  showSelf();
  $("rename").focus();
}

me.addEventListener("change", () => {
  feed.hidden = me.hidden;
  // The rooms first: leaving while hidden must not show the name.
  rooms.call(me.joined ? me.name : "");
  settle();
  if (me.hidden) race.leave();
  showSelf();
  track.draw();
  if (!me.joined && !$("name").matches(":focus")) $("name").value = me.name;
});

// The own status.
const HINTS = {
  active: "",
  away: "The others see that you are away.",
  hidden: "Nobody sees you. What you say in the chat has your name on it.",
};
function showStatus() {
  for (const radio of $("status").elements) radio.checked = radio.value === status.current;
  $("status-hint").textContent = HINTS[status.current];
}
$("status").addEventListener("change", async (event) => {
  complain(await status.choose(event.target.value));
});
status.addEventListener("change", () => {
  showStatus();
  race.look();
});

// The count.
feed.addEventListener("change", () => {
  const { roster } = feed;
  if (!roster.fresh) return;
  if (me.joined && !me.fixed && feed.me === null) settle();
  $("count").textContent = roster.size.toLocaleString();
  $("count-unit").textContent = roster.size === 1 ? "person online" : "people online";
  document.title = `(${roster.size.toLocaleString()}) Rollcall`;
  chart.add(roster.size);
  news(roster);
  drawChart();
});

function drawChart() {
  const shown = chart.draw();
  if (!shown) return;
  const { low, high, span } = shown;
  const range = low === high ? low.toLocaleString() : `${low.toLocaleString()} to ${high.toLocaleString()}`;
  const long = span < 60_000 ? `${Math.round(span / 1000)} s` : `${Math.floor(span / 60_000)} min`;
  $("chart-from").textContent = `${long} ago`;
  $("chart-range").textContent = low === high ? "" : range;
  $("chart").setAttribute("aria-label", `Online in the last ${long}: ${range}`);
}
setInterval(() => {
  if (feed.roster.fresh && feed.state === "live") chart.add(feed.roster.size);
  if (!document.hidden) drawChart();
}, 2000);

// The state of the connection.
const STATES = {
  connecting: () => "Connecting…",
  live: () => `Live · ${feed.transport}`,
  reconnecting: () => "Reconnecting…",
  refused: () => (entry.needed ? "Waiting for a token" : "Refused, trying again…"),
};
function showState() {
  $("state").dataset.state = feed.state;
  $("count-line").classList.toggle("stale", feed.state !== "live");
  $("state-text").textContent = STATES[feed.state]();
}
feed.addEventListener("state", showState);

feed.addEventListener("problem", () => {
  const { problem, roster } = feed;
  if (problem?.error === "unauthorized") {
    return complain(entry.source ? "The server does not accept this token, or no longer. Paste another one." : "");
  }
  complain(problem ? plain(problem.message, 200) || plain(problem.error) || "The server refused that." : "");
  // After a refused registration the user is not online.
  if (problem?.event === "register" && !roster.find({ id: me.id })) me.leave();
});
feed.addEventListener("signedout", () => {
  if (me.fixed) entry.use("");
  else me.leave();
  complain("You were signed out.");
});

function complain(text) {
  $("problem").hidden = !text;
  $("problem").textContent = text;
}

// The snippet for other pages.
$("snippet").textContent = `<script src="${home}rollcall.js" defer></script>\n<rollcall-online></rollcall-online>`;
$("copy").addEventListener("click", async () => {
  const selection = getSelection();
  selection.selectAllChildren($("snippet"));
  // Without a secure context there is no clipboard: the selection can be copied by hand.
  const copied = await navigator.clipboard?.writeText($("snippet").textContent).then(() => true, () => false);
  $("copy").textContent = copied ? "Copied" : "Selected";
  setTimeout(() => ($("copy").textContent = "Copy"), 2000);
});

if (me.joined) {
  $("name").value = me.name;
  showSelf();
} else {
  // On a phone the focus would open the keyboard over the list.
  if (matchMedia("(pointer: fine)").matches) edit();
  else {
    $("name").value = me.name;
    showSelf();
  }
}
showState();
showStatus();
