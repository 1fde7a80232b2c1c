// The handler: which serves, another one brought in through its gates, and the history.

import { action, code, count, duration, el, field, fill, form, number, percent, pill, redraw, row, say, size, sure, table, when } from "./dom.js";
import { call, events } from "./session.js";

const short = (sha256) => code(sha256.slice(0, 12), sha256);

const STATES = { active: "good", draining: "warn" };

function generations(data) {
  return table("Generations", ["Generation", "State", "Label", "Component", "Requests", "At work"], data.generations.map((one) => row(
    el("th", { scope: "row" }, number(one.generation)), pill(one.state, STATES[one.state] ?? "warn"), one.label,
    [short(one.sha256), ` ${size(one.bytes)}`], number(one.requests), number(one.in_flight))), "There are none.");
}

// A step of a swap: its name, a summary for the steps that have one, and all that was found, as JSON.
function step(name, detail) {
  const summary = {
    compiled: () => `${size(detail.bytes)} in ${duration(detail.ms)}${detail.same_as_active ? ", the same as the one that serves" : ""}`,
    linked: () => changes("imports", detail.imports),
    probed: () => (detail.routes ? changes("routes", detail.routes) : "its answers are sound"),
    activated: () => `after ${duration(detail.ms)}`,
    restored: () => `from generation ${detail.from}`,
  }[name];
  return el("li", {}, el("strong", {}, name), summary ? [" ", summary()] : "",
    el("details", {}, el("summary", {}, "What was found"), el("pre", { tabIndex: 0 }, JSON.stringify(detail, null, 2))));
}

// A diff by lines of + and -, said in words too.
function changes(what, { added = [], removed = [] }) {
  if (!added.length && !removed.length) return `the same ${what} as the one that serves`;
  const line = (sign, word, kind) => (text) => el("li", { class: kind }, el("span", { class: "hidden" }, `${word}: `), `${sign} ${typeof text === "string" ? text : JSON.stringify(text)}`);
  return el("ul", { class: "diff", "aria-label": `Changes of ${what}` }, added.map(line("+", "added", "good")), removed.map(line("−", "removed", "bad")));
}

function trial(data) {
  if (!data) return null;
  const rate = (side) => (side.requests ? percent(side.errors / side.requests) : "–");
  const line = (name, side) => row(el("th", { scope: "row" }, name), number(side.requests), number(side.errors), rate(side), duration(side.p95_ms));
  const { rules } = data;
  return el("section", { class: "card", "data-trial": data.kind },
    el("h2", {}, `Trial of generation ${data.generation} `, pill(data.kind, "warn")),
    el("p", { class: "soft" }, `${data.percent} % of the traffic. It passes with ${count(rules.min_requests, "request")}, an error rate at most ${percent(rules.max_error_increase)} higher, and 95 % of responses within ${rules.max_latency_ratio} times as long (never too long below ${duration(rules.latency_floor_ms)}).`),
    table("So far", ["Handler", "Requests", "Errors", "Error rate", "95 % within"], [line("active", data.active), line("candidate", data.candidate)], ""));
}

export async function show(view, { follow, isShown }) {
  const now = el("div");
  const live = el("div", { "aria-live": "polite" });
  const under = el("ol", { class: "steps", "aria-live": "polite" });
  const held = el("div");
  const past = el("div");
  let previous = null;

  async function history(before) {
    const page = await call("GET", `/admin/guest/history?limit=10${before ? `&before=${before}` : ""}`);
    if (!isShown()) return;
    redraw(past, table("History, newest first", ["Generation", "Act", "Outcome", "Label", "Component", "Took", "When", "Key", "Steps"], page.history.map((one) => row(
      el("th", { scope: "row" }, number(one.generation)), one.kind,
      [pill(one.outcome, one.outcome === "active" ? "good" : "bad"), one.reason && el("div", { class: "soft" }, `${one.stage}: ${one.reason}`)],
      one.label, one.sha256 ? [short(one.sha256), ` ${size(one.bytes)}`] : "–", duration(one.took_ms), when(one.at), one.key ? code(one.key) : "–",
      el("details", {}, el("summary", {}, "Steps"), el("ol", { class: "steps" }, Object.entries(one.steps ?? {}).map(([name, detail]) => step(name, detail)))))), "Nothing yet."),
    page.next !== null && action("Earlier", () => history(page.next), { class: "quiet" }));
  }

  // Runs a swap and shows each of its steps. The page has to stay: when it goes, the
  // swap is called off.
  async function run(path, body) {
    fill(under, el("li", {}, "on its way"));
    let failed = null;
    let outcome = null;
    await events("POST", path, (name, data) => {
      if (name === "error") failed = data;
      else if (name === "done") outcome = data;
      else if (data.step === "held") hold(data.detail.generation);
      else under.append(step(data.step, data.detail));
    }, { body });
    fill(held);
    under.firstElementChild?.remove();
    await history(null);
    if (failed) {
      under.append(el("li", { class: "bad" }, `${failed.title}. ${failed.detail}`));
      throw new Error(`${failed.title}. ${failed.detail}`);
    }
    const said = outcome?.outcome === "active" ? `Generation ${outcome.generation} serves.` : "The dry run is sound. Nothing was changed.";
    under.append(el("li", { class: "good" }, said));
    say(said);
  }

  function hold(generation) {
    const decide = (pass) => async () => {
      await call("POST", `/admin/guest/${generation}/decision`, { pass, reason: pass ? "let on in the console" : "refused in the console" });
      fill(held);
    };
    fill(held, el("section", { class: "card" }, el("h3", {}, `Generation ${generation} is held back`),
      el("p", {}, "Measure it as you like, then decide."),
      el("p", { class: "row" }, action("Let it go on", decide(true), { class: "primary" }), action("Refuse it", decide(false), { class: "danger" }))));
  }

  async function back() {
    if (!await sure("Roll back?", `The component of generation ${previous} serves again, as a new generation.`, "Roll back")) return;
    await run("/admin/guest/rollback");
  }

  const file = el("input", { type: "file", accept: ".wasm,application/wasm", required: true, id: "component" });
  const label = el("input", { name: "label", maxLength: 200, placeholder: "the name of the file", autocomplete: "off" });
  const gate = el("select", { name: "gate" }, [["", "none"], ["shadow", "copies of live reads (shadow)"], ["canary", "a share of live traffic (canary)"]].map(([value, text]) => el("option", { value }, text)));
  const share = el("input", { name: "share", type: "number", min: 1, max: 100, value: 10 });
  const seconds = el("input", { name: "seconds", type: "number", min: 1, value: 60 });
  const holds = el("input", { name: "hold", type: "checkbox" });
  const dry = el("input", { name: "dry", type: "checkbox", checked: true });
  const swap = form(async () => {
    const [component] = file.files;
    const query = new URLSearchParams({ label: label.value || component.name });
    if (dry.checked) query.set("dry_run", "true");
    if (holds.checked) query.set("hold", "true");
    if (gate.value) {
      query.set(gate.value, share.value);
      query.set("for", seconds.value);
    }
    if (!dry.checked && !await sure("Replace the handler?", `${component.name} serves all requests once it has passed its gates.`, "Replace it")) return;
    await run(`/admin/guest?${query}`, component);
  }, "Upload",
  field("Component", file, "A WebAssembly component for the world of a handler."), field("Label", label),
  field("Gate", gate), field("Share in percent", share), field("For seconds", seconds),
  el("label", { class: "check" }, holds, " Hold it back until I decide"),
  el("label", { class: "check" }, dry, " Dry run: compile, link and probe it, and change nothing"));

  const rollback = action("Roll back…", back, { class: "danger", disabled: true });
  view.append(now, el("p", { class: "row" }, rollback), live,
    el("section", { class: "card" }, el("h2", {}, "Another handler"), swap, held, under), past);
  let active = null;
  follow("guest", (data) => {
    redraw(now, generations(data));
    ({ previous } = data);
    rollback.disabled = previous === null;
    if (active !== null && active !== data.active) history(null).catch((error) => say(error.message, true));
    ({ active } = data);
  });
  follow("trial", (data) => redraw(live, trial(data)));
  await history(null);
}
