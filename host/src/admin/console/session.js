// Who is signed in. The key is in the memory of this tab and nowhere else: no storage,
// no cookie, no address. It travels in a header of each request.

const ROOT = new URL("..", document.baseURI);

// How long to wait before the stream of events is asked for again, doubled each time.
const RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 30_000;

let key = null;
// Whether the server has accepted the key.
let begun = false;
let stream = null;
let ended = () => {};

const followers = new Map();
const latest = new Map();

export const signedIn = () => begun;

// What is to happen when the session is over; `why` is for people, if there is a reason.
export function onEnd(work) {
  ended = work;
}

// What went wrong with a request, in the server's words.
export class Problem extends Error {
  constructor(status, body, requestId) {
    const places = (body?.errors ?? []).map((one) => `${one.pointer ?? one.parameter} ${one.detail}`);
    super([body?.title ?? `The server answered ${status}`, body?.detail, ...places].filter(Boolean).join(". ").replace(/\.\. /g, ". "));
    this.status = status;
    this.code = body?.code;
    this.requestId = requestId;
  }
}

const unreachable = () => new Error("The server cannot be reached. Is it running?");

export const place = (path) => new URL(path.replace(/^\//, ""), ROOT).href;

export const credentialHeader = () => `Bearer ${key}`;

// The key of this session is another from now on, as after its rotation.
export function adopt(credential) {
  key = credential;
  follow();
}

async function ask(method, path, { body, headers = {}, signal } = {}) {
  const request = { method, headers: { Authorization: credentialHeader(), ...headers }, body, signal,
    cache: "no-store", credentials: "omit", redirect: "error", referrerPolicy: "no-referrer" };
  let response;
  try {
    response = await fetch(place(path), request);
  } catch (error) {
    throw signal?.aborted ? error : unreachable();
  }
  if (response.ok) return response;
  const body_ = await response.json().catch(() => null);
  const problem = new Problem(response.status, body_, response.headers.get("x-request-id"));
  if (response.status === 401 && signedIn()) signOut(problem.message);
  throw problem;
}

// Sends a request, and reads the JSON of the answer.
export async function call(method, path, json) {
  const body = json === undefined ? undefined : JSON.stringify(json);
  const headers = json === undefined ? {} : { "Content-Type": "application/json" };
  const response = await ask(method, path, { body, headers });
  return response.status === 204 ? null : response.json();
}

// Sends a request whose answer is server-sent events, and hands each to `handle`.
export async function events(method, path, handle, { body, headers, signal } = {}) {
  const response = await ask(method, path, { body, signal, headers: { Accept: "text/event-stream", ...headers } });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const pieces = (rest + value).split("\n\n");
    rest = pieces.pop();
    for (const piece of pieces) {
      const name = /^event: (.*)$/m.exec(piece)?.[1];
      const data = /^data: (.*)$/m.exec(piece)?.[1];
      if (name) handle(name, JSON.parse(data));
    }
  }
}

// Sends a file, and reports to `progress` how much of it has gone, from 0 to 1. `fetch` cannot
// report that.
export function send(method, path, file, mediaType, progress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(method, place(path));
    request.setRequestHeader("Authorization", credentialHeader());
    request.setRequestHeader("Content-Type", mediaType);
    request.upload.addEventListener("progress", (event) => event.lengthComputable && progress(event.loaded / event.total));
    request.addEventListener("error", () => reject(unreachable()));
    request.addEventListener("load", () => {
      let body = null;
      try {
        body = JSON.parse(request.responseText);
      } catch {
        // An answer that is not JSON is described by its status alone.
      }
      if (request.status < 300) resolve({ status: request.status, body });
      else reject(new Problem(request.status, body, request.getResponseHeader("x-request-id")));
    });
    request.send(file);
  });
}

// Begins a session, if the key may.
export async function signIn(credential) {
  key = credential;
  try {
    await call("GET", "/admin/settings");
  } catch (error) {
    key = null;
    throw error;
  }
  begun = true;
  follow();
}

// Ends the session: the key and all that the server sent are forgotten.
export function signOut(why) {
  key = null;
  begun = false;
  stream?.abort();
  stream = null;
  followers.clear();
  latest.clear();
  ended(why);
}

// Calls `work` with what is known of a topic, and whenever that changes. Returns how to
// stop it.
export function on(topic, work) {
  const all = followers.get(topic) ?? new Set();
  followers.set(topic, all.add(work));
  if (latest.has(topic)) work(latest.get(topic));
  return () => all.delete(work);
}

function publish(topic, data) {
  latest.set(topic, data);
  for (const work of followers.get(topic) ?? []) work(data);
}

// Follows the one stream of events for as long as the session lasts.
async function follow() {
  stream?.abort();
  const mine = new AbortController();
  stream = mine;
  let wait = RETRY_MS;
  while (stream === mine) {
    publish("live", "connecting");
    try {
      await events("GET", "/admin/events", (name, data) => {
        wait = RETRY_MS;
        if (name === "error") return signOut(data.detail);
        publish("live", "live");
        if (name === "samples") return publish(name, joined(latest.get(name)?.samples ?? [], data.samples));
        publish(name, data);
      }, { signal: mine.signal });
    } catch (error) {
      if (mine.signal.aborted) return;
      publish("live", error.code === "too_many_listeners" ? "too many consoles" : "offline");
    }
    await new Promise((resolve) => setTimeout(resolve, wait));
    wait = Math.min(wait * 2, LONGEST_RETRY_MS);
  }
}

// The samples of the last hour, each once: a stream that begins again sends all of them.
function joined(known, news) {
  const oldest = Date.now() - 3_600_000;
  const byTime = new Map([...known, ...news].map((sample) => [sample.at, sample]));
  const samples = [...byTime.values()].filter((sample) => sample.at >= oldest);
  return { samples: samples.sort((a, b) => a.at - b.at) };
}
