// In what order a server took what several clients did at once. Between
// sockets nobody determines it; but Node answers each act with one broadcast,
// so the watcher's transcript of the step tells it.
import { isDeepStrictEqual as equal } from 'node:util';

// taken returns the step's acts in the order of broadcasts (those the watcher
// received during the step). Acts that are not heard come last, connects
// where the newcomer's own transcript begins: received says how many of the
// broadcasts it got. before is the watcher's last list of users.
export function taken(step, broadcasts, { before = {}, received }) {
  const waiting = step.filter((act) => act.heard);
  const order = [];
  const last = { ...before };
  for (const broadcast of broadcasts) {
    const at = waiting.findIndex((act) => answers(act, broadcast, last[broadcast[0]] ?? []));
    if (at < 0) throw new Error(`nobody did what is told: ${JSON.stringify(broadcast)}; waiting: ${JSON.stringify(waiting)}`);
    order.push(...waiting.splice(at, 1));
    last[broadcast[0]] = broadcast[1];
  }
  if (waiting.length > 0) throw new Error(`nothing is told of ${JSON.stringify(waiting)}`);

  const silent = step.filter((act) => !act.heard && act.does !== 'connect');
  const arrivals = step.filter((act) => act.does === 'connect')
    .map((act) => ({ act, at: broadcasts.length - Math.min(received(act.client), broadcasts.length) }))
    .sort((a, b) => b.at - a.at);
  for (const { act, at } of arrivals) order.splice(at, 0, act);
  return [...order, ...silent];
}

// answers tells whether the broadcast is what Node says to the act; before is
// what the same event told last. Where two acts fit, they have the same
// outcome, and either will do.
function answers(act, [event, data], before) {
  const fresh = () => data.filter((one) => !before.some((other) => equal(one, other)));
  switch (act.does) {
    case 'register': return event === 'online_users' && fresh().some((user) => equal(user, act.user));
    // Somebody who was registered is gone from the list; others change nothing.
    case 'leave': return event === 'online_users' && equal(data, before.filter((user) => !equal(user, act.registered)));
    case 'invite': return event === 'invite' && equal(data, act.data);
    // A racer who is there already is not added again.
    case 'join': return event === `update_stage_${act.data.token}`
      && (fresh().length > 0 ? equal(fresh()[0], act.data) : data.some((racer) => racer.id === act.data.id));
    case 'start': return event === `start_race_${act.token}`;
    case 'car': return event === `race_${act.data.race_id}_update` && equal(data.at(-1), act.data);
    case 'speed': return event === `update_${act.race}_speed` && equal(data, act.data);
    default: return false;
  }
}
