// Chooses the Socket.IO client: the page's own if it has one, else the official one
// from the server, else the small one in lite.js.

import { lite } from "./lite.js";

let official; // the one that this script loaded

// openerFor resolves to a function that opens one connection to the server, a
// URL that ends in a slash. The function takes {token, status}, both optional.
// Connections do not reconnect by themselves: each one needs a new token.
export async function openerFor(server) {
  if (typeof window.io !== "function") {
    await load(new URL("socket.io/socket.io.min.js", server).href).catch(() => {});
    official = window.io;
  }
  const io = window.io;
  if (typeof io !== "function") return ({ token, status }) => lite(server, queryOf(status), token);

  const url = new URL(server);
  return ({ token, status }) => {
    const options = { path: `${url.pathname}socket.io`, query: queryOf(status), forceNew: true, reconnection: false };
    // A proxy in front may keep a polling client on its instance by a cookie.
    options.withCredentials = true;
    // WebSocket first needs no sticky routing and no upgrade. Only the official client
    // of this version can fall back to polling from there.
    if (io === official) Object.assign(options, { transports: ["websocket", "polling"], tryAllTransports: true });
    // Clients before 3.0 have no auth; a query appears in the logs of proxies.
    if (token && io.protocol >= 5) options.auth = { token };
    else if (token) options.query.token = token;
    return io(url.origin, options);
  };
}

// Deltas are a fraction of the bytes of lists on a busy server.
const queryOf = (status) => ({ presence: "changes", ...(status && { status }) });

function load(src) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.onload = resolve;
    script.onerror = reject;
    script.src = src;
    document.head.append(script);
  });
}
