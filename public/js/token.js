// Tokens in a page: their source, their user, and the sentence for a visitor without
// one.

import { plain } from "./person.js";
import { warnOnce } from "./warn.js";

const ANSWER_WITHIN = 10_000;
// A JWT or a message of Rails' MessageVerifier. A login page is neither.
const TOKEN = /^[\w+/=.-]{16,8192}$/;

const UNAVAILABLE = { event: "connect", error: "no_token", message: "Who is online cannot be shown just now. Trying again…" };

// tokenFrom resolves to {token}, or to {problem} on a failure. An empty token means that
// the visitor is not signed in. A source is {token},
// {url} or both: then the token is used first, and the URL from then on.
export async function tokenFrom({ token, url }, used) {
  if (token && !(url && used)) return { token };
  if (!url) return { token: "" };
  try {
    const answer = await fetch(url, {
      credentials: "same-origin", cache: "no-store", signal: AbortSignal.timeout(ANSWER_WITHIN),
      headers: { Accept: "application/json, text/plain;q=0.9" },
    });
    if ([204, 401, 403].includes(answer.status)) return { token: "" };
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    return read(await answer.text(), answer.headers.get("Content-Type") ?? "", url);
  } catch (error) {
    warnOnce(`no token from ${url}: ${error.message}`);
    return { problem: UNAVAILABLE };
  }
}

function read(text, type, url) {
  if (/\bhtml\b/.test(type)) {
    warnOnce(`${url} answered with a page instead of a token; it is taken as: nobody is signed in`);
    return { token: "" };
  }
  let token = text.trim();
  if (/\bjson\b/.test(type) || /^[{["]/.test(token)) {
    const answer = JSON.parse(token);
    token = answer !== null && typeof answer === "object" ? answer.token : answer;
    if (token === null || token === "") return { token: "" };
  }
  if (typeof token !== "string" || !TOKEN.test(token)) throw new Error("the answer is not a token");
  return { token };
}

// refusalOf is the problem to show when the server refused the connection.
export function refusalOf(error, source, token) {
  const { error: code = "refused", message } = error?.data ?? error ?? {};
  if (code !== "unauthorized") return { event: "connect", error: code, message: plain(message, 200) || "The server refused the connection." };
  if (!source) warnOnce("the server wants a token (AUTH_SECRET is set): set the attribute token-url or token");
  else if (token) warnOnce("the server did not accept the token: is it signed with its AUTH_SECRET, and not expired?");
  const told = token ? "Your sign-in was not accepted here. Reload the page, or sign in again." : "Sign in to see who is online.";
  return { event: "connect", error: code, message: told };
}

// userOf is the user of a token, or null where it cannot be read. Only the server knows
// whether the token is valid.
export function userOf(token) {
  try {
    const jwt = token.includes("."); // its parts may contain "--", as any base64url
    const value = jwt ? JSON.parse(decode(token.split(".")[1])) : verified(token);
    const claims = value?.rollcall ?? value;
    if (["string", "number"].includes(typeof claims)) return { id: claims };
    const user = claims.user ?? (jwt ? { id: claims.sub ?? value.sub } : claims);
    return user?.id === undefined ? null : user;
  } catch {
    return null;
  }
}

// verified is the value in a message of MessageVerifier: as it is, or in the
// envelope of Rails 6 and 7.0 (message) or 7.1 and later (data).
function verified(token) {
  const [, data] = /^(.*)--[0-9a-f]+$/.exec(token); // URL-safe data may contain "--" too
  const value = JSON.parse(decode(data));
  const envelope = value?._rails;
  if (!envelope) return value;
  return envelope.message === undefined ? envelope.data : JSON.parse(decode(envelope.message));
}

function decode(base64) {
  const bytes = atob(base64.replaceAll("-", "+").replaceAll("_", "/"));
  return new TextDecoder().decode(Uint8Array.from(bytes, (byte) => byte.charCodeAt(0)));
}
