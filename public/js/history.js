// What was said in a room before, by the server's HTTP API.

const PATIENCE = 5000;

// historyOf resolves to the kept messages, oldest first, and the server's time,
// or to null: a server that cannot tell is no reason not to talk. The token is
// needed where the connection needed one.
export async function historyOf(server, room, token) {
  try {
    const url = new URL(`api/rooms/${encodeURIComponent(room)}/messages`, server);
    const headers = token ? { Authorization: `Bearer ${token}` } : {};
    const answer = await fetch(url, { headers, signal: AbortSignal.timeout(PATIENCE) });
    if (!answer.ok) return null;
    const messages = await answer.json();
    return Array.isArray(messages) ? { messages, now: Date.parse(answer.headers.get("Date")) } : null;
  } catch {
    return null;
  }
}
