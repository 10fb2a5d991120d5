// A small Socket.IO client (protocol 5 over WebSocket), for when the official one
// cannot be loaded. It has the part of its interface that is used here, and is for one
// connection: it does not reconnect.

export function lite(server, query, token) {
  const url = new URL("socket.io/", server);
  url.protocol = url.protocol.replace("http", "ws");
  url.search = new URLSearchParams({ EIO: "4", transport: "websocket", ...query });

  const listeners = new Map();
  const acks = new Map();
  const ws = new WebSocket(url);
  let over = false, watchdog, patience, nextAck = 0;

  const socket = {
    connected: false,
    active: true,
    io: { engine: { transport: { name: "websocket" }, on() {} } },
    on: (event, listener) => void listeners.set(event, [...(listeners.get(event) ?? []), listener]),
    off: (event) => void listeners.delete(event),
    disconnect() {
      socket.active = false;
      closed("io client disconnect");
    },
    emit(event, ...args) {
      if (!socket.connected) return;
      let id = "";
      if (typeof args.at(-1) === "function") acks.set(id = nextAck++, args.pop());
      ws.send(`42${id}${JSON.stringify([event, ...args])}`);
    },
  };
  const tell = (event, ...args) => listeners.get(event)?.forEach((listener) => listener(...args));

  ws.onmessage = ({ data }) => !over && typeof data === "string" && read(data);
  ws.onclose = () => closed("transport close");

  // A server that no longer pings is gone, even if TCP does not notice.
  function alive() {
    clearTimeout(watchdog);
    watchdog = setTimeout(() => closed("ping timeout"), patience);
  }

  function closed(reason, error = new Error(reason)) {
    if (over) return;
    over = true;
    const was = socket.connected;
    socket.connected = false;
    acks.clear();
    clearTimeout(watchdog);
    ws.close();
    if (was) tell("disconnect", reason);
    else tell("connect_error", error);
  }

  function read(packet) {
    const [, type, id, body] = /^(4[0-4]|\d)(\d*)([^]*)$/.exec(packet) ?? [];
    const data = body ? JSON.parse(body) : undefined;
    if (type === "0") {
      patience = data.pingInterval + data.pingTimeout;
      alive();
      ws.send(token ? `40${JSON.stringify({ token })}` : "40");
    } else if (type === "2") {
      alive();
      ws.send("3");
    } else if (type === "40") {
      socket.connected = true;
      tell("connect");
    } else if (type === "42") {
      tell(...data);
    } else if (type === "43") {
      acks.get(Number(id))?.(...data);
      acks.delete(Number(id));
    } else if (type === "41" || type === "44") {
      socket.active = false; // the server ended it; the caller decides whether to reconnect
      closed("io server disconnect", Object.assign(new Error(data?.message), { data: data?.data }));
    }
  }

  return socket;
}
