// Fetches the messages of a room from the HTTP API.

const PATIENCE = 5000;

// historyOf resolves to the kept messages, oldest first, and the server's time,
// or to null on a failure. The token is needed where the connection needed one.
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
