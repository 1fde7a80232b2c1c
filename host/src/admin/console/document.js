// One document: its text with the passages that search finds, and what is known of it.

import { action, code, count, el, fill, number, pill, say, size, slicer, sure, when } from "./dom.js";
import { call } from "./session.js";
import { address, documentPath } from "./documents.js";

// Passages that are read at once, and what is drawn of the text with them.
const PAGE = 100;

export async function show(view, { collection, id, isShown }) {
  const path = documentPath(collection, id);
  const [one, chunks] = await Promise.all([call("GET", path), call("GET", `${path}/chunks?limit=${PAGE}`)]);
  if (!isShown()) return;
  view.querySelector("h1").textContent = one.title ?? one.id;
  document.title = `${one.title ?? one.id} · Ragtime console`;
  view.prepend(el("p", {}, el("a", { href: address(collection) }, `← ${collection}`)));
  const remove = async () => {
    if (!await sure(`Delete ${id}?`, "Search does not find the document any more once this is done. It cannot be undone.", "Delete document")) return;
    await call("DELETE", path);
    say(`The document ${id} is deleted.`);
    location.hash = address(collection);
  };
  view.append(
    el("div", { class: "reader" },
      el("div", {}, facts(one), el("p", { class: "row" }, action("Delete document…", remove, { class: "danger" })),
        warnings(one.warnings), metadata(one.metadata)),
      reader(one, chunks, path)));
}

function facts(one) {
  const rows = [
    ["Id", code(one.id)], ["Type", one.content_type], ["File", one.file_name ?? "–"], ["Length", size(one.bytes)],
    ["Passages", number(one.chunks)], ["Language", one.language ?? "not known"],
    ["Search", one.searchable ? pill("found", "good") : pill("on its way", "warn")],
    ["Put in", when(one.created_at)], ["Changed", when(one.updated_at)], ["SHA-256", code(one.sha256.slice(0, 16), one.sha256)],
  ];
  return el("section", { class: "card" }, el("h2", {}, "About"),
    el("dl", { class: "facts" }, rows.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])));
}

function warnings(all) {
  if (!all.length) return null;
  return el("section", { class: "card" }, el("h2", {}, "Warnings ", pill(number(all.length), "warn")),
    el("ul", {}, all.map((one) => el("li", {}, code(one.code), one.page ? ` page ${one.page}: ` : " ", one.detail, " ", meaning(one.code)))));
}

// What to do about the code of a warning, as the server explains it.
function meaning(name) {
  const explanation = el("p", { class: "soft", role: "status" });
  const button = action("What to do", async () => {
    const entry = await call("GET", `/warnings/${encodeURIComponent(name)}`);
    explanation.textContent = entry.detail;
  }, { class: "link" });
  return [button, explanation];
}

function metadata(data) {
  if (!Object.keys(data).length) return null;
  return el("section", { class: "card" }, el("h2", {}, "Metadata"), el("pre", { tabIndex: 0 }, JSON.stringify(data, null, 2)));
}

function reader(one, first, path) {
  const { slice, length } = slicer(one.text);
  const text = el("div", { class: "text", tabIndex: 0, role: "region", "aria-label": "Text with its passages" });
  const list = el("ol", { class: "passages" });
  const more = el("p", { class: "row" });
  const chunks = [];
  let chosen = null;

  function light(index) {
    chosen = index;
    for (const piece of text.querySelectorAll("[data-of]")) {
      piece.classList.toggle("on", piece.dataset.of.split(" ").includes(String(index)));
    }
    for (const button of list.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", button.dataset.index === String(index));
    }
    text.querySelector(".on")?.scrollIntoView({ block: "nearest" });
  }

  // The text between two bounds belongs to the passages that reach over it: none, one,
  // or two where they overlap.
  function draw() {
    const bounds = [...new Set([0, length, ...chunks.flatMap(({ span }) => [span.start, span.end])])].sort((a, b) => a - b);
    let open = [];
    let next = 0;
    const pieces = bounds.slice(0, -1).map((start, index) => {
      open = open.filter((number_) => chunks[number_].span.end > start);
      while (next < chunks.length && chunks[next].span.start <= start) open.push(next++);
      const piece = slice(start, bounds[index + 1]);
      if (!open.length) return piece;
      return el("span", { class: open.length > 1 ? "both" : open[0] % 2 ? "odd" : "even", "data-of": open.join(" ") }, piece);
    });
    fill(text, pieces);
    if (chosen !== null) light(chosen);
  }

  function add(page) {
    for (const chunk of page.chunks) {
      const index = chunks.push(chunk) - 1;
      const where = [chunk.page && `page ${chunk.page}`, chunk.headings.join(" › ")].filter(Boolean).join(", ");
      const button = el("button", { type: "button", class: "link", "aria-pressed": "false", "data-index": index, onclick: () => light(index) },
        `Passage ${index + 1}`);
      list.append(el("li", {}, button, el("span", { class: "soft" }, ` ${size(chunk.span.end - chunk.span.start)}${where ? `, ${where}` : ""}`)));
    }
    draw();
    fill(more, page.next_cursor !== null && action("More passages", async () =>
      add(await call("GET", `${path}/chunks?limit=${PAGE}&cursor=${encodeURIComponent(page.next_cursor)}`))));
  }

  add(first);
  return el("section", { class: "card" }, el("h2", {}, "Text"),
    el("p", { class: "soft" }, `${count(one.chunks, "passage")}. Choose one to see where it stands; where two overlap both are marked.`),
    el("div", { class: "passages-box", tabIndex: 0, role: "region", "aria-label": "Passages" }, list, more), text);
}
