// The connection to one server: it connects, and reconnects after a failure or a
// refusal, each time with a new token where one is needed. It knows nothing of events.

import { openerFor } from "./client.js";
import { refusalOf, tokenFrom } from "./token.js";

const FIRST_PAUSE = 1000; // after a failure, doubled with each further one
const LONGEST_PAUSE = 10_000;
const FIRST_REFUSED = 5000; // after the server disconnected or refused, likewise
const LONGEST_REFUSED = 60_000;
const SPARE = 1000; // the least time between two attempts
const RENEW_AGAIN = [1000, 15_000]; // at least and at most, when there was no new token

export class Connection {
  state = "connecting"; // connecting, live, reconnecting, refused
  transport = "";
  token = ""; // the one that the server has; "": none
  socket;

  #server;
  #hooks;
  #opener;
  #source = null; // where tokens come from, {url, token}; null: none is needed
  #used = false; // whether the source's own token was used
  #ended = ""; // the token of a signed-out user, which is not used again
  #turn = 0; // counts attempts: the results of earlier ones are ignored
  #failures = 0;
  #retry; // timers
  #renewal;
  #tried = -Infinity;
  #wake = () => document.visibilityState === "visible" && this.#hurry();

  // hooks are functions: listen(socket) for a new socket, connected(), become(state),
  // refuse(problem), with null when there is none any more, and status(), the first
  // status of a token's user.
  constructor(server, hooks) {
    this.#server = server;
    this.#hooks = hooks;
  }

  start() {
    this.#opener = openerFor(this.#server);
    addEventListener("online", this.#wake);
    document.addEventListener("visibilitychange", this.#wake);
    this.#attempt();
  }

  stop() {
    removeEventListener("online", this.#wake);
    document.removeEventListener("visibilitychange", this.#wake);
    this.#void();
    this.token = this.transport = "";
    this.#failures = 0;
    this.#tried = -Infinity;
    this.#become("connecting");
  }

  // signedOut notes that the server has signed the token's user out.
  signedOut() {
    this.#ended = this.token;
  }

  // use sets the source of tokens. A new token is sent to the server at once, over the
  // same connection if it is for the same user.
  use(source) {
    if (JSON.stringify(source) === JSON.stringify(this.#source)) return;
    const renewable = this.token && source?.token && this.state === "live";
    this.#source = source;
    this.#used = false;
    this.#failures = 0;
    if (renewable) this.#renew({ now: true });
    else if (this.#tried > -Infinity) this.#attempt(); // else the first attempt is about to begin
  }

  async #attempt() {
    this.#void();
    const turn = this.#turn;
    const open = await this.#opener;
    if (turn !== this.#turn) return; // stopped meanwhile
    this.#tried = performance.now();
    const source = this.#source;
    const { token: given, problem } = await this.#ask(source);
    if (turn !== this.#turn) return;
    if (problem) return this.#refused(problem);
    const token = given === this.#ended ? "" : given;
    const socket = this.socket = open({ token, status: token && this.#hooks.status() });
    const on = (event, f) => socket.on(event, (...args) => this.socket === socket && f(...args));
    const refused = (error) => this.#refused(refusalOf(error, source, token));
    on("connect", () => this.#connected(token));
    on("disconnect", (reason) => this.#lost(reason));
    on("connect_error", (error) => {
      if (socket.active === false || error?.data?.error) refused(error);
      else this.#lost();
    });
    // A refused connection in 1.x and 2.x.
    on("error", (error) => (typeof error === "string" || error?.error) && refused(typeof error === "string" ? { message: error } : error));
    on("token_expiring", (more) => this.#renew({ left: more?.expires_in }));
    this.#hooks.listen(socket);
  }

  async #ask(source) {
    if (!source) return { token: "" };
    const answer = await tokenFrom(source, this.#used);
    this.#used = true;
    return answer;
  }

  #connected(token) {
    this.token = token;
    this.#failures = 0;
    const { engine } = this.socket.io;
    this.transport = engine.transport.name;
    engine.on("upgrade", (transport) => {
      this.transport = transport.name;
      this.#become(this.state);
    });
    this.#hooks.refuse(null);
    this.#hooks.connected();
    this.#become("live");
  }

  // lost handles a connection that ended or failed.
  #lost(reason) {
    if (reason === "io server disconnect") this.#later(FIRST_REFUSED, LONGEST_REFUSED);
    else this.#later(FIRST_PAUSE, LONGEST_PAUSE);
    if (reason !== undefined) this.#become("reconnecting");
    else if (this.state !== "refused") this.#become(this.transport ? "reconnecting" : "connecting");
  }

  #refused(problem) {
    this.token = "";
    this.#later(FIRST_REFUSED, LONGEST_REFUSED);
    this.#become("refused");
    this.#hooks.refuse(problem);
  }

  // renew sends the server a new token `left` seconds before the old one expires. If
  // that fails the connection ends with the old one, or now, and the next has a new one.
  async #renew({ left = 60, now = false }) {
    clearTimeout(this.#renewal);
    const turn = this.#turn, source = this.#source;
    if (!source) return;
    const { token } = await this.#ask(source);
    if (turn !== this.#turn || this.state !== "live") return;
    if (!token || token === this.token) {
      const pause = Math.min(Math.max(left * 250, RENEW_AGAIN[0]), RENEW_AGAIN[1]);
      if (source.url) this.#renewal = setTimeout(() => this.#renew({ left }), pause);
      return;
    }
    this.socket.emit("renew", { token }, (answer) => {
      if (turn !== this.#turn) return;
      if (answer?.ok) this.token = token;
      else if (now || answer?.error === "forbidden") { // it is of another user
        this.#used = !now;
        return this.#attempt();
      }
      this.#become(this.state);
    });
  }

  #later(first, longest) {
    this.#void();
    const pause = Math.min(longest, first * 2 ** this.#failures++);
    this.#retry = setTimeout(() => this.#attempt(), pause * (0.5 + Math.random()));
  }

  // hurry reconnects now instead of later.
  #hurry() {
    if (this.#retry !== undefined && performance.now() - this.#tried > SPARE) this.#attempt();
  }

  #void() {
    this.#turn++;
    clearTimeout(this.#retry);
    clearTimeout(this.#renewal);
    this.#retry = undefined;
    const { socket } = this;
    this.socket = undefined;
    socket?.disconnect();
  }

  #become(state) {
    this.state = state;
    this.#hooks.become(state);
  }
}
