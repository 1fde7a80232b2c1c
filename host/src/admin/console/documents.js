// Collections, and the documents of one: listed, searched, uploaded, deleted.

import { action, code, count, dialog, el, field, fill, form, number, pill, redraw, row, say, size, slicer, sure, table, when } from "./dom.js";
import { call } from "./session.js";
import * as document_ from "./document.js";
import { uploader } from "./upload.js";

const PAGE = 25;

export const collectionPath = (name) => `/v1/collections/${encodeURIComponent(name)}`;
export const documentPath = (collection, id) => `${collectionPath(collection)}/documents/${encodeURIComponent(id)}`;
export const address = (...parts) => `#/documents/${parts.map(encodeURIComponent).join("/")}`;

export function show(view, context) {
  const [collection, id] = context.rest;
  if (id !== undefined) return document_.show(view, { ...context, collection, id });
  return collection === undefined ? collections(view, context) : documents(view, { ...context, collection });
}

async function collections(view, { isShown }) {
  const list = el("div");
  async function load() {
    const answer = await call("GET", "/v1/collections");
    if (!isShown()) return;
    const rows = answer.collections.map((one) => row(
      el("th", { scope: "row" }, el("a", { href: address(one.name) }, one.name)),
      number(one.documents), number(one.chunks),
      one.uncut_documents ? pill(`${number(one.uncut_documents)} to rechunk`, "warn") : pill("up to date", "good"),
      when(one.created_at)));
    redraw(list, table("Collections", ["Name", "Documents", "Chunks", "Chunking", "Made"], rows, "There are none."));
  }
  const name = el("input", { name: "name", required: true, pattern: "[a-z0-9][a-z0-9_\\-]*", autocomplete: "off" });
  const make = form(async () => {
    await call("POST", "/v1/collections", { name: name.value });
    say(`The collection ${name.value} is made.`);
    name.value = "";
    await load();
  }, "Make it", field("Name", name, "Lower-case letters, digits, _ and -."));
  view.append(list, el("section", { class: "card" }, el("h2", {}, "A new collection"), make));
  await load();
}

async function documents(view, { collection, follow, isShown }) {
  const base = collectionPath(collection);
  const about = el("div");
  const found = el("div", { "aria-live": "polite" });
  const list = el("div");
  // Where the pages before this one began.
  const before = [];
  let cursor = null;

  async function head() {
    const one = await call("GET", base);
    if (!isShown()) return;
    const model = one.embedding.model ?? "none, search is by words";
    redraw(about, el("p", { class: "soft" }, count(one.documents, "document"), " · ", count(one.chunks, "chunk"),
      " · language ", one.language ?? "detected from the texts", " · model ", model, " · chunks of about ",
      `${number(one.chunking.tokens)} tokens, ${number(one.chunking.overlap)} of overlap `,
      one.uncut_documents > 0 && pill(`${count(one.uncut_documents, "document")} to rechunk`, "warn")),
    el("p", { class: "row" }, action("Rechunk…", () => rechunk(one)),
      action("Delete collection…", remove, { class: "danger", disabled: collection === "default" })));
  }

  async function load() {
    const query = new URLSearchParams({ limit: PAGE, ...(cursor === null ? {} : { cursor }) });
    const page = await call("GET", `${base}/documents?${query}`);
    if (!isShown()) return;
    const rows = page.documents.map((one) => row(
      el("th", { scope: "row" }, el("a", { href: address(collection, one.id) }, one.id), one.title && el("div", { class: "soft" }, one.title)),
      one.content_type, size(one.bytes), number(one.chunks), one.language ?? "–",
      one.searchable ? pill("found", "good") : pill("on its way", "warn"),
      one.warnings.length ? pill(count(one.warnings.length, "warning"), "warn") : "none",
      when(one.updated_at)));
    redraw(list, table(`Documents of ${collection}`, ["Id", "Type", "Length", "Chunks", "Language", "Search", "Warnings", "Changed"], rows,
      "There are none yet: drop some files above."),
    el("p", { class: "row" },
      action("Previous page", async () => {
        cursor = before.pop() ?? null;
        await load();
      }, { class: "quiet", disabled: before.length === 0 }),
      action("Next page", async () => {
        before.push(cursor);
        cursor = page.next_cursor;
        await load();
      }, { class: "quiet", disabled: page.next_cursor === null })));
  }

  const refresh = () => Promise.all([head(), load()]);

  async function rechunk(one) {
    const tokens = el("input", { name: "tokens", type: "number", min: 1, required: true, value: one.chunking.tokens });
    const overlap = el("input", { name: "overlap", type: "number", min: 0, required: true, value: one.chunking.overlap });
    const wanted = await dialog(`Rechunk ${collection}`, [
      el("p", {}, "Every document is cut again in the background. Search finds everything meanwhile."),
      field("Tokens of a chunk", tokens), field("Tokens of overlap", overlap),
    ], [{ text: "Cancel", value: false }, { text: "Rechunk", value: true, kind: "primary" }]);
    if (!wanted) return;
    await call("PATCH", base, { chunking: { tokens: tokens.valueAsNumber, overlap: overlap.valueAsNumber } });
    say(`The documents of ${collection} are being cut again.`);
    await head();
  }

  async function remove() {
    if (!await sure(`Delete ${collection}?`, "All of its documents are deleted with it. This cannot be undone.", "Delete collection")) return;
    await call("DELETE", base);
    say(`The collection ${collection} is deleted.`);
    location.hash = "#/documents";
  }

  const query = el("input", { name: "query", type: "search", required: true });
  const search = form(async () => {
    const answer = await call("POST", `${base}/search`, { query: query.value, top_k: 10, highlight: true, per_document: false });
    fill(found, results(collection, answer));
  }, "Search", field("Search the documents", query, "“a phrase”, +word and -word are understood."));

  view.querySelector("h1").textContent = collection;
  document.title = `${collection} · Ragtime console`;
  view.prepend(el("p", {}, el("a", { href: "#/documents" }, "← All collections")));
  view.append(about, el("div", { class: "halves" },
    el("section", { class: "card" }, el("h2", {}, "Upload"), uploader(collection, () => isShown() && refresh())),
    el("section", { class: "card" }, el("h2", {}, "Search"), search)), found, list);
  await refresh();
  // What jobs and rechunking have done shows in the list once they have ended: each
  // refresh costs the key two units, so not while they run.
  const onChange = (topic, of) => {
    let before;
    follow(topic, (data) => {
      const now = JSON.stringify(of(data));
      if (before !== undefined && before !== now) refresh().catch((error) => say(error.message, true));
      before = now;
    });
  };
  onChange("jobs", ({ jobs }) => jobs.filter((job) => job.collection === collection && !job.pending).map((job) => job.job_id));
  onChange("rechunking", ({ collections }) => collections.includes(collection));
}

function results(collection, answer) {
  const summary = `${count(answer.results.length, "passage")}, ${answer.mode} search, ${number(answer.took_ms)} ms`;
  const list = answer.results.map((result) => el("li", {},
    el("p", {}, el("a", { href: address(collection, result.document_id) }, result.title ?? result.document_id), " ",
      code(result.document_id), " ", el("span", { class: "soft" }, `score ${result.score.toFixed(3)}${result.page ? `, page ${result.page}` : ""}`)),
    result.headings.length > 0 && el("p", { class: "soft" }, result.headings.join(" › ")),
    el("p", { class: "passage" }, lit(result))));
  return el("section", { class: "card" }, el("h2", {}, "Found"), el("p", { class: "soft" }, summary), el("ol", { class: "results" }, list));
}

// The text of a result with the words of the query lit. Spans count the bytes of the document.
function lit({ text, span, highlights }) {
  const { slice, length } = slicer(text);
  const pieces = [];
  let at = 0;
  for (const { start, end } of highlights ?? []) {
    const [from, to] = [start - span.start, end - span.start];
    if (from < at) continue;
    pieces.push(slice(at, from), el("mark", {}, slice(from, to)));
    at = to;
  }
  return [...pieces, slice(at, length)];
}
