// How the server is: what is ready and why not, and the charts.

import { chart } from "./charts.js";
import { count, duration, el, fill, number, percent, pill, rounded, size } from "./dom.js";

const KINDS = { ready: "good", degraded: "warn", unready: "bad" };

const perSecond = (value) => (value === null ? "–" : `${rounded(value)}/s`);

const CHARTS = [
  ["Requests", [{ name: "requests", kind: "a", of: (one) => one.requests / one.seconds }], perSecond],
  ["Latency", [
    { name: "median", kind: "a", of: (one) => one.p50_ms },
    { name: "95 %", kind: "b", of: (one) => one.p95_ms },
    { name: "99 %", kind: "c", of: (one) => one.p99_ms },
  ], duration],
  ["Errors", [
    { name: "4xx", kind: "b", of: (one) => one.client_errors / one.seconds },
    { name: "5xx", kind: "c", of: (one) => one.server_errors / one.seconds },
  ], perSecond],
  ["Tokens", [
    { name: "read", kind: "a", of: (one) => one.input_tokens / one.seconds },
    { name: "written", kind: "b", of: (one) => one.output_tokens / one.seconds },
  ], perSecond],
  ["Index lag", [{ name: "chunks", kind: "a", of: (one) => one.index_lag_chunks }], number],
  ["Memory", [{ name: "resident", kind: "a", of: (one) => one.memory_bytes }], (value) => (value === null ? "–" : size(value)), 1_048_576],
];

function parts(readiness) {
  const worst = ["unready", "degraded"].find((state) => readiness.parts.some((part) => part.state === state)) ?? "ready";
  return [
    el("h2", {}, "Readiness ", pill(worst, KINDS[worst])),
    el("dl", { class: "parts" }, readiness.parts.map((part) => el("div", {},
      el("dt", {}, part.name, " ", pill(part.state, KINDS[part.state])),
      el("dd", {}, part.detail ?? "nothing is wrong")))),
  ];
}

const tile = (label, value, hint) => el("div", { class: "tile" }, el("dt", {}, label), el("dd", {}, value), hint && el("dd", { class: "soft" }, hint));

function tiles(samples) {
  const last = samples.at(-1);
  if (!last) return [];
  const sum = (of) => samples.reduce((total, one) => total + of(one), 0);
  const [requests, failed] = [sum((one) => one.requests), sum((one) => one.server_errors)];
  return [
    tile("Requests", perSecond(last.requests / last.seconds), `${number(requests)} in the last hour`),
    tile("At work", number(last.in_flight), count(last.in_flight, "request")),
    tile("95 % within", duration(last.p95_ms), "of the last seconds"),
    tile("Server errors", requests ? percent(failed / requests) : "–", `${number(failed)} in the last hour`),
    tile("Index lag", number(last.index_lag_chunks), "chunks that search does not find yet"),
    tile("Memory", size(last.memory_bytes), "resident"),
  ];
}

export function show(view, { follow }) {
  const readiness = el("section", { class: "card" });
  const numbers = el("dl", { class: "tiles" });
  const charts = CHARTS.map((one) => chart(...one));
  view.append(readiness, numbers, el("h2", {}, "The last hour"), el("div", { class: "charts" }, charts.map((one) => one.view)));
  follow("readiness", (data) => fill(readiness, parts(data)));
  follow("samples", ({ samples }) => {
    fill(numbers, tiles(samples));
    charts.forEach((one) => one.update(samples));
  });
}
