// Default: one script on Rollcall and on the Node service, and after each step
// what the clients' pages show.
import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import { raise } from './barrier.mjs';
import { Page } from './page.mjs';
import { assemble } from './player.mjs';
import { Scene } from './compare-transcripts.mjs';
import { until } from '../lib/wait.mjs';

// comparePages plays the script on Rollcall, which may be several instances, and on the
// reference, and waits after each step until the pages are equal. Of two acts
// of one crowd nobody determines which comes first, so a script with crowds is
// compared without the order in collections. The track is random: one of the
// known. Instances agree on the order of what they hear of between two steps
// only. patience is how long, in ms, a step may take.
export async function comparePages(t, script, { servers, reference, tracks, patience }) {
  const ordered = script.steps.slice(1).every((step) => new Set(step.map((act) => act.client)).size === 1);
  const ours = await assemble(t, servers, script.cast);
  const passed = servers.length > 1 && await raise(t, servers);
  const node = await Scene.open(t, reference, script, tracks);
  const theirs = node.company;
  for (const company of [ours, theirs]) company.watcher.page = new Page();

  for (const [n, step] of script.steps.entries()) {
    for (const act of step) prepare(act, ours, theirs);
    await Promise.all([perform(ours, step), node.play(n, [step])]);
    for (const act of step) spectate(act, theirs);
    const differing = () => differences(ours, theirs, { ordered, tracks });
    try {
      await until(() => differing() === undefined, 'pages that are equal', { ms: patience });
    } catch (error) {
      const [name, shown, due] = differing() ?? ['nobody any more'];
      assert.deepEqual(shown, due, `seed ${script.seed}, step ${n} of ${script.steps.length}, ${JSON.stringify(step)}: the page of ${name}`);
      throw error;
    }
    if (passed) await passed();
  }
  return { ours, theirs };
}

// perform waits where there will be nothing to see.
async function perform(company, step) {
  await Promise.all(step.map((act) => company.perform(act)));
  const silent = step.filter((act) => !act.heard && act.does !== 'connect').map((act) => company.players.get(act.client));
  await Promise.all([...new Set(silent)].map((player) => player.client.ask('heartbeat')));
}

function prepare(act, ...companies) {
  for (const { players } of companies) {
    const player = players.get(act.client);
    if (act.does === 'connect') player.page = new Page();
    if (act.does === 'register') player.page.register(act.user);
    if (act.does === 'join') player.page.open('stages', act.data.token);
    if (act.does === 'car') player.page.open('races', String(act.data.race_id));
    if (act.does === 'watch stage') player.page.open('stages', act.token);
    if (act.does === 'watch race') player.page.open('races', String(act.race));
  }
}

// spectate: who begins to watch is shown what there is, by Rollcall. With Node
// that is what everybody was told last.
function spectate(act, { players, watcher }) {
  if (!act.does.startsWith('watch')) return;
  const event = act.does === 'watch stage' ? `update_stage_${act.token}` : `race_${act.race}_update`;
  const last = watcher.transcript.findLast(([name]) => name === event);
  if (last) players.get(act.client).page.receive(last);
}

// differences are of the first client whose pages differ: its name, what it
// shows, and what it should.
function differences(ours, theirs, how) {
  for (const player of ours.present()) {
    const same = theirs.all().find((other) => other.name === player.name);
    const [shown, due] = [plain(player.page, how), plain(same.page, how)];
    // Node tells everybody the list even when nobody registered is affected.
    // Rollcall tells it when it changes, and to who registers: a page that has
    // not registered may be without one yet. One that Rollcall has told before
    // Node did is the list that Node told everybody last.
    if (shown.online === undefined && player.page.me === undefined) due.online = undefined;
    else due.online ??= plain(theirs.watcher.page, how).online;
    if (!isDeepStrictEqual(shown, due)) return [player.name, shown, due];
  }
  return undefined;
}

function plain(page, { ordered, tracks }) {
  const shown = page.show();
  const known = (id) => tracks.some((track) => track.id === id);
  shown.started = shown.started.map((one) => (known(one.track_id) ? { ...one, track_id: 'known' } : one));
  return ordered ? shown : sorted(shown);
}

// sorted puts every list of objects in an order of its own.
function sorted(value) {
  if (Array.isArray(value)) return value.toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, sorted(one)]));
}
