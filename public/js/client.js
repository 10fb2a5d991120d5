// Which Socket.IO client speaks for us: the page's own if it has one, else the
// official one from our server, else the small one in lite.js.

import { lite } from "./lite.js";

// We draw the list from increments: on a busy server a fraction of the bytes.
const QUERY = { presence: "changes" };

let official; // what we loaded ourselves

// openerFor resolves to a function that opens a socket to the server, a URL
// that ends in a slash.
export async function openerFor(server) {
  if (typeof window.io !== "function") {
    await load(new URL("socket.io/socket.io.min.js", server).href).catch(() => {});
    official = window.io;
  }
  const io = window.io;
  if (typeof io !== "function") return () => lite(server, QUERY);

  const url = new URL(server);
  const options = { path: `${url.pathname}socket.io`, query: QUERY, forceNew: true };
  // A proxy in front may keep a polling client on its instance by a cookie.
  options.withCredentials = true;
  // WebSocket first needs no sticky routing and no upgrade. Only the client
  // that we know falls back to polling from there.
  if (io === official) Object.assign(options, { transports: ["websocket", "polling"], tryAllTransports: true });
  return () => io(url.origin, options);
}

function load(src) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.onload = resolve;
    script.onerror = reject;
    script.src = src;
    document.head.append(script);
  });
}
