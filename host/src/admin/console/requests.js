// Requests at work, and the last that ended.

import { code, duration, el, pill, redraw, row, table } from "./dom.js";

const kind = (status) => (status >= 500 ? "bad" : status >= 400 ? "warn" : "good");

const route = (one) => el("th", { scope: "row" }, code(`${one.method} ${one.route}`, one.id));

export function show(view, { follow }) {
  const live = el("div");
  const ended = el("div");
  view.append(live, ended);
  follow("requests", (data) => {
    redraw(live, table("At work", ["Request", "Phase", "Age", "Generation", "Key"], data.in_flight.map((one) =>
      row(route(one), pill(one.phase), duration(one.age_ms), one.generation ?? "–", one.key ? code(one.key) : "none")), "None at the moment."));
    redraw(ended, table("The last that ended, newest first", ["Request", "Status", "Took", "Generation", "Key", "Problem", "Id"], data.ended.map((one) =>
      row(route(one), pill(one.status, kind(one.status)), duration(one.ms), one.generation ?? "–", one.key ? code(one.key) : "none",
        one.problem ? code(one.problem) : "none", code(one.id))), "None yet."));
  });
}
