// A small Socket.IO client (protocol 5 over WebSocket) for servers that were
// built without the official one. It has the part of its interface that we use.

const PAUSE = 1000;
const LONGEST_PAUSE = 10_000;

export function lite(server, query) {
  const url = new URL("socket.io/", server);
  url.protocol = url.protocol.replace("http", "ws");
  url.search = new URLSearchParams({ EIO: "4", transport: "websocket", ...query });

  const listeners = new Map();
  const acks = new Map();
  let ws, retry, watchdog, patience, failures = 0, nextAck = 0;

  const socket = {
    connected: false,
    active: true,
    io: { engine: { transport: { name: "websocket" }, on() {} } },
    on: (event, listener) => void listeners.set(event, [...(listeners.get(event) ?? []), listener]),
    off: (event) => void listeners.delete(event),
    connect() {
      socket.active = true;
      clearTimeout(retry);
      if (!ws) open();
    },
    disconnect() {
      socket.active = false;
      clearTimeout(retry);
      if (ws) closed("io client disconnect");
    },
    emit(event, ...args) {
      if (!socket.connected) return;
      let id = "";
      if (typeof args.at(-1) === "function") acks.set(id = nextAck++, args.pop());
      ws.send(`42${id}${JSON.stringify([event, ...args])}`);
    },
  };
  const tell = (event, ...args) => listeners.get(event)?.forEach((listener) => listener(...args));

  function open() {
    const own = ws = new WebSocket(url);
    own.onmessage = ({ data }) => ws === own && typeof data === "string" && read(data);
    own.onclose = () => ws === own && closed("transport close");
  }

  // A server that no longer pings is gone, whatever TCP says.
  function alive() {
    clearTimeout(watchdog);
    watchdog = setTimeout(() => closed("ping timeout"), patience);
  }

  function closed(reason, error = new Error(reason)) {
    const gone = ws, was = socket.connected;
    ws = undefined;
    socket.connected = false;
    acks.clear();
    clearTimeout(watchdog);
    gone.close();
    if (socket.active) {
      const pause = Math.min(LONGEST_PAUSE, PAUSE * 2 ** failures++);
      retry = setTimeout(open, pause * (0.5 + Math.random()));
    }
    if (was) tell("disconnect", reason);
    else tell("connect_error", error);
  }

  function read(packet) {
    const [, type, id, body] = /^(4[0-4]|\d)(\d*)([^]*)$/.exec(packet) ?? [];
    const data = body ? JSON.parse(body) : undefined;
    if (type === "0") {
      patience = data.pingInterval + data.pingTimeout;
      alive();
      ws.send("40");
    } else if (type === "2") {
      alive();
      ws.send("3");
    } else if (type === "40") {
      failures = 0;
      socket.connected = true;
      tell("connect");
    } else if (type === "42") {
      tell(...data);
    } else if (type === "43") {
      acks.get(Number(id))?.(...data);
      acks.delete(Number(id));
    } else if (type === "41" || type === "44") {
      socket.active = false; // the server means it; whether to come back is the caller's choice
      closed("io server disconnect", new Error(data?.message));
    }
  }

  open();
  return socket;
}
