// The page: who you are, how many there are, and how the connection does. The
// list itself is <rollcall-online>, the same as on any other site.

import { Chart } from "./js/chart.js";
import { define } from "./js/element.js";
import { feedOf } from "./js/feed.js";
import { Me, friendlyName } from "./js/me.js";
import { newsOf } from "./js/news.js";
import { nameOf, plain, sinceOf } from "./js/person.js";

const home = new URL("./", document.baseURI).href;
const $ = (id) => document.getElementById(id);

const me = new Me();
const feed = feedOf(home);
const owner = {}; // what holds the feed for this page
const chart = new Chart($("chart"));
const news = newsOf($("news"));
let renaming = false;
let since = 0;

define(home);
feed.hold(owner);

// Who we are. Going online waits for the first list: another tab of this
// browser may be there already, and its `since` is ours.
function settle() {
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
  $("self-title").textContent = me.joined ? "You" : "Join the list";
  $("join").hidden = !form;
  $("here").hidden = form;
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
  me.leave();
  edit();
});

function stopRenaming() {
  renaming = false;
  showSelf();
  $("rename").focus();
}

me.addEventListener("change", () => {
  settle();
  showSelf();
  if (!me.joined && !$("name").matches(":focus")) $("name").value = me.name;
});

// How many there are.
feed.addEventListener("change", () => {
  const { roster } = feed;
  if (!roster.fresh) return;
  if (me.joined && feed.me === null) settle();
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

// How the connection does.
const STATES = {
  connecting: () => "Connecting…",
  live: () => `Live · ${feed.transport}`,
  reconnecting: () => "Reconnecting…",
  refused: () => "Refused, trying again…",
};
function showState() {
  $("state").dataset.state = feed.state;
  $("count-line").classList.toggle("stale", feed.state !== "live");
  $("state-text").textContent = STATES[feed.state]();
}
feed.addEventListener("state", showState);

feed.addEventListener("problem", () => {
  const { problem, roster } = feed;
  $("problem").hidden = !problem;
  $("problem").textContent = problem ? plain(problem.message, 200) || plain(problem.error) || "The server refused that." : "";
  // Refused at the door, we are not online, whatever we said.
  if (problem?.event === "register" && !roster.find({ id: me.id })) me.leave();
});
feed.addEventListener("signedout", () => {
  me.leave();
  $("problem").hidden = false;
  $("problem").textContent = "You were signed out.";
});

// The snippet for other pages.
$("snippet").textContent = `<script src="${home}rollcall.js" defer></script>\n<rollcall-online></rollcall-online>`;
$("copy").addEventListener("click", async () => {
  const selection = getSelection();
  selection.selectAllChildren($("snippet"));
  // Without a secure context there is no clipboard; what is selected can be copied by hand.
  const copied = await navigator.clipboard?.writeText($("snippet").textContent).then(() => true, () => false);
  $("copy").textContent = copied ? "Copied" : "Selected";
  setTimeout(() => ($("copy").textContent = "Copy"), 2000);
});

if (me.joined) {
  $("name").value = me.name;
  showSelf();
} else {
  // On a phone this would open the keyboard over the list.
  if (matchMedia("(pointer: fine)").matches) edit();
  else {
    $("name").value = me.name;
    showSelf();
  }
}
showState();
