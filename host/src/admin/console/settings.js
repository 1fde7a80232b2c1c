// The settings in force, and who changed which key or handler.

import { action, code, el, fill, number, pill, redraw, row, table, when } from "./dom.js";
import { call } from "./session.js";

function shown(value) {
  if (value === null) return el("span", { class: "soft" }, "not set");
  if (Array.isArray(value) && !value.length) return el("span", { class: "soft" }, "none");
  if (typeof value === "object") return code(JSON.stringify(value));
  return code(typeof value === "number" && Number.isInteger(value) ? number(value) : String(value));
}

function section(name, values, changed) {
  const rows = Object.entries(values).map(([key, value]) => row(
    el("th", { scope: "row" }, code(`${name}.${key}`)), shown(value),
    changed.has(`${name}.${key}`) ? pill("changed", "warn") : el("span", { class: "soft" }, "default")));
  return table(`[${name}]`, ["Setting", "Value", "From"], rows, "Nothing is set.");
}

export async function show(view, { isShown }) {
  const acts = el("div");
  async function audit(before) {
    const page = await call("GET", `/admin/audit?limit=20${before ? `&before=${before}` : ""}`);
    if (!isShown()) return;
    redraw(acts, table("Who did what, newest first", ["When", "Act", "To", "By the key", "Request"], page.acts.map((one) =>
      row(when(one.at), code(one.action), code(one.target), code(one.actor), one.request_id ? code(one.request_id) : "–")), "Nothing yet."),
    page.next !== null && action("Earlier acts", () => audit(page.next), { class: "quiet" }));
  }
  const { settings, changed } = await call("GET", "/admin/settings");
  if (!isShown()) return;
  const only = el("input", { type: "checkbox" });
  const place = el("div", { class: "sections" });
  const draw = () => {
    const known = new Set(changed);
    const wanted = ([name, values]) => [name, Object.fromEntries(Object.entries(values).filter(([key]) => !only.checked || known.has(`${name}.${key}`)))];
    const sections = Object.entries(settings).map(wanted).filter(([, values]) => Object.keys(values).length);
    fill(place, sections.map(([name, values]) => section(name, values, known)));
  };
  only.addEventListener("change", draw);
  draw();
  view.append(el("h2", {}, "In force"), el("p", { class: "soft" }, "Secrets are not shown. A change, in the settings file or the environment, takes effect at the next start of the server."),
    el("label", { class: "check" }, only, " Only what is not at its default"), place, el("h2", {}, "Audit"), acts);
  await audit(null);
}
