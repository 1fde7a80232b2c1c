// The hosts that share a database: how far each is, and what it serves.

import { code, count, el, number, pill, redraw, row, say, size, table } from "./dom.js";
import { call } from "./session.js";

const STATES = { ready: "good", "catching up": "warn", unreachable: "bad", gone: "bad" };

// How often PostgreSQL is asked while the page is shown: as often as hosts report.
const EVERY_MS = 1_000;

const behind = (host) => (host.behind ? `${count(host.behind, "entry", "entries")} behind` : "has everything");

const reported = (host) => (host.silent_seconds < 2 ? "now" : `${number(host.silent_seconds)} s ago`);

function hosts(data) {
  return table("Hosts", ["Name", "State", "Follows", "Lease", "Version", "Generation", "Handler", "Reported"], data.hosts.map((one) => row(
    el("th", { scope: "row" }, one.name, one.id === data.answered_by ? " (this one)" : ""), pill(one.state, STATES[one.state] ?? "warn"),
    behind(one), one.leads ? pill("leads", "good") : "–", one.version, number(one.generation),
    one.handler_sha256 ? code(one.handler_sha256.slice(0, 12), one.handler_sha256) : "none yet", reported(one))), "There are none.");
}

function log(data) {
  return el("p", { class: "soft" }, `${count(data.entries, "entry", "entries")} were written, of which the log in PostgreSQL has ${number(data.log.entries)} (${size(data.log.bytes)}) since the snapshot at ${number(data.snapshot.entry)} (${size(data.snapshot.bytes)}).`);
}

function shown(data) {
  if (data.fleet === null) return el("p", {}, "This server is alone: it shares its documents and keys with no other. docs/fleet.md says how several become one.");
  return [hosts(data), log(data)];
}

export async function show(view, { isShown }) {
  const place = el("div", {});
  view.append(place);
  const look = async () => {
    const data = await call("GET", "/admin/fleet");
    if (isShown()) redraw(place, shown(data));
  };
  await look();
  const again = async () => {
    if (!isShown()) return;
    await look().catch((error) => say(error.message, true));
    setTimeout(again, EVERY_MS);
  };
  setTimeout(again, EVERY_MS);
}
