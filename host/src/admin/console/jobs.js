// Batches of documents on their way into the index.

import { action, code, count, el, fill, number, pill, redraw, row, say, table, when } from "./dom.js";
import { call } from "./session.js";

function state(job) {
  if (job.pending > 0) return pill("running", "warn");
  return job.failed_count > 0 ? pill(`${number(job.failed_count)} failed`, "bad") : pill("done", "good");
}

export async function show(view, { follow, isShown }) {
  const list = el("div");
  const older = el("div");
  const chosen = el("div", { "aria-live": "polite" });
  let shown = null;

  async function details(id) {
    const job = await call("GET", `/v1/jobs/${encodeURIComponent(id)}`);
    if (!isShown()) return;
    shown = id;
    const act = (word, name) => action(word, async () => {
      await call("POST", `/v1/jobs/${encodeURIComponent(id)}/${name}`);
      say(name === "cancel" ? "What was pending is taken out." : "What failed is tried again.");
      await details(id);
    }, { class: name === "cancel" ? "danger" : "quiet" });
    redraw(chosen, el("section", { class: "card" }, el("h2", {}, "Job ", code(job.job_id)),
      el("p", {}, state(job), ` ${number(job.received)} received, ${number(job.indexed)} indexed, ${number(job.failed_count)} failed, ${number(job.pending)} pending`),
      el("p", { class: "row" }, job.pending > 0 && act("Cancel what is pending", "cancel"), job.failed_count > 0 && act("Try again", "retry")),
      job.failed.length > 0 && table("Documents that failed", ["Place", "Document", "Reason"],
        job.failed.map((one) => row(number(one.position), one.id ?? "–", one.reason)), ""),
      job.failed_truncated && el("p", { class: "soft" }, "There are more than are listed."),
      job.warnings.length > 0 && table(`${count(job.warning_count, "warning")} of its documents`, ["Document", "Code", "What"],
        job.warnings.map((one) => row(one.id, code(one.code), one.detail)), "")));
  }

  const line = (job) => row(
    el("th", { scope: "row" }, action(job.job_id.slice(0, 13), () => details(job.job_id), { class: "link", title: job.job_id, "data-focus": job.job_id })),
    job.collection, el("progress", { max: job.received, value: job.received - job.pending, "aria-label": `Progress of ${job.job_id}` }),
    number(job.indexed), number(job.pending), state(job), when(job.created_at));
  const heads = ["Job", "Collection", "Progress", "Indexed", "Pending", "State", "Began"];

  async function page(cursor) {
    const answer = await call("GET", `/v1/jobs?limit=20${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`);
    if (!isShown()) return;
    redraw(older, table("All jobs, newest first", heads, answer.jobs.map(line), "There are none."),
      answer.next_cursor !== null && action("Older jobs", () => page(answer.next_cursor), { class: "quiet" }));
  }

  view.append(el("p", { class: "soft" }, "Batches that came by POST or by ragtime ingest. The last ones, as they run:"),
    list, chosen, el("p", { class: "row" }, action("Show all jobs", () => page(null), { class: "quiet" })), older);
  follow("jobs", ({ jobs }) => {
    redraw(list, table("The last jobs", heads, jobs.map(line), "There are none."));
    if (shown !== null && jobs.some((job) => job.job_id === shown)) details(shown).catch((error) => say(error.message, true));
  });
}
