// Strict: one script on two servers, step by step, and every client's
// transcript of each step compared, event for event.
import assert from 'node:assert/strict';
import { taken } from './order.mjs';
import { assemble } from './player.mjs';

// compareTranscripts plays the script on a subject and a reference. A crowd's acts go to
// the subject all at once and to the reference one after the other, in the
// order in which the subject took them: so every transcript is determined,
// event for event, but for two things, which are compared modulo just that:
//   - a client that leaves while others act misses what was on its way: it has
//     received a beginning of what the reference tells it;
//   - the track of a race is random: one of the known, and the same for all
//     clients of one server.
// tamper, for negative controls, may change what a client is said to have
// received from the subject.
export async function compareTranscripts(t, script, { subject, reference, tracks, tamper = (name, transcript) => transcript }) {
  const [ours, theirs] = await Promise.all([subject, reference].map((server) => Scene.open(t, server, script, tracks)));
  for (const [n, step] of script.steps.entries()) {
    try {
      const crowd = new Set(step.map((act) => act.client)).size > 1;
      const mine = await ours.play(n, [step]);
      const order = crowd ? taken(step, mine.get('watcher'), { before: ours.told, received: (name) => mine.get(name).length }) : step;
      const wanted = await theirs.play(n, crowd ? order.map((act) => [act]) : [step]);
      for (const [name, transcript] of mine) {
        const got = tamper(name, transcript);
        const left = crowd && step.some((act) => act.client === name && act.does === 'leave');
        const due = left ? wanted.get(name).slice(0, got.length) : wanted.get(name);
        // As text, so that the order of keys counts.
        assert.deepEqual(lines(got), lines(due), `what ${name} received`);
      }
      for (const [event, data] of mine.get('watcher')) ours.told[event] = data;
    } catch (error) {
      error.message = `seed ${script.seed}, step ${n} of ${script.steps.length}, ${JSON.stringify(step)}: ${error.message}`;
      throw error;
    }
  }
  return { ours: ours.company, theirs: theirs.company };
}

// A Scene is a server that tells everybody everything, with the script's clients.
export class Scene {
  static async open(t, server, script, tracks) {
    const scene = new Scene();
    scene.company = await assemble(t, [server], script.cast);
    scene.tracks = tracks;
    // told: by event, the array that the watcher was told last.
    scene.told = {};
    return scene;
  }

  // play does the moves of a step one after the other, a move's acts all at
  // once, and returns what each client received meanwhile, by name. The
  // watcher hears what Node says to an act, so that tells when it is done.
  async play(n, moves) {
    const { company } = this;
    const since = new Map(company.all().map((player) => [player, player.transcript.length]));
    const told = () => company.watcher.transcript.length - since.get(company.watcher);
    let heard = 0;
    for (const acts of moves) {
      await Promise.all(acts.map((act) => company.perform(act)));
      heard += acts.filter((act) => act.heard).length;
      await company.watcher.until(() => told() >= heard, `${heard} broadcasts in this step`);
    }
    // Whoever is present has received all there is when the marks behind it
    // come through: the watcher's, and of who acted without being heard. If
    // that is more than was awaited, it is in the transcripts.
    const silent = moves.flat().filter((act) => !act.heard && act.does !== 'connect').map((act) => company.players.get(act.client));
    for (const player of new Set([company.watcher, ...silent])) {
      const mark = ['invite', { id: 'nobody', mark: `${n} ${player.name}` }];
      player.socket.emit(...mark);
      await Promise.all(company.present().map((one) => one.hears(mark, since.get(one))));
    }

    const received = (player) => player.transcript.slice(since.get(player)).filter(([, data]) => data?.mark === undefined);
    const tracks = lines(received(company.watcher).filter(isStart));
    return new Map(company.all().map((player) => {
      for (const event of received(player).filter(isStart)) {
        assert.ok(tracks.includes(JSON.stringify(event)), `${player.name} and the watcher were told different tracks: ${JSON.stringify(event)}, ${tracks}`);
      }
      return [player.name, received(player).map((event) => this.withoutTrack(event))];
    }));
  }

  // withoutTrack puts "known" in place of a track that is one.
  withoutTrack(event) {
    const known = isStart(event) && this.tracks.some(({ id }) => id === event[1]?.track_id);
    return known ? [event[0], { ...event[1], track_id: 'known' }, ...event.slice(2)] : event;
  }
}

const lines = (transcript) => transcript.map((event) => JSON.stringify(event));
const isStart = ([event]) => event.startsWith('start_race_');
