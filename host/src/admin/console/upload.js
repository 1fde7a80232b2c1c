// Files by drag and drop or by choice, each with its progress.

import { count, el, fill, pill, say, size } from "./dom.js";
import { documentPath } from "./documents.js";
import { send } from "./session.js";

// Files that travel at once. More would only share the way.
const AT_ONCE = 3;

// The type of a file of which the browser knows none. The server detects the type by the
// content first, so this counts for files only where it cannot.
const UNKNOWN = "application/octet-stream";

// The id of a document is the name of its file, so that the same file again replaces it.
const idOf = (file) => file.webkitRelativePath || file.name;

export function uploader(collection, done) {
  const input = el("input", { type: "file", multiple: true, id: "files" });
  const list = el("ul", { class: "uploads" });
  const zone = el("div", { class: "drop" },
    el("label", { for: "files" }, "Choose files, or drop them here"), input,
    el("small", {}, "Text, Markdown, HTML, PDF, Office, EPUB, CSV, JSON, mail. A file of the same name is replaced."));
  const waiting = [];
  let working = 0;

  function next() {
    while (working < AT_ONCE && waiting.length) {
      working += 1;
      waiting.shift()().finally(() => {
        working -= 1;
        if (!working && !waiting.length) done();
        next();
      });
    }
  }

  function add(files) {
    const all = [...files];
    if (!all.length) return;
    all.forEach((file) => list.prepend(upload(collection, file, waiting)));
    say(`${count(all.length, "file")} on the way.`);
    next();
  }

  input.addEventListener("change", () => {
    add(input.files);
    input.value = "";
  });
  for (const name of ["dragenter", "dragover"]) {
    zone.addEventListener(name, (event) => {
      event.preventDefault();
      zone.classList.add("over");
    });
  }
  for (const name of ["dragleave", "drop"]) {
    zone.addEventListener(name, (event) => {
      event.preventDefault();
      zone.classList.remove("over");
    });
  }
  zone.addEventListener("drop", (event) => add(event.dataTransfer.files));
  return [zone, list];
}

function upload(collection, file, waiting) {
  const id = idOf(file);
  const bar = el("progress", { max: 1, value: 0, "aria-label": `Upload of ${id}` });
  const state = el("span", { role: "status" }, "waits");
  const view = el("li", { "data-file": id }, el("span", {}, id, " ", el("span", { class: "soft" }, size(file.size))), bar, state);
  waiting.push(async () => {
    state.textContent = "sending";
    try {
      const { status, body } = await send("PUT", `${documentPath(collection, id)}?wait=searchable`, file, file.type || UNKNOWN, (part) => {
        bar.value = part;
        if (part === 1) state.textContent = "being read and indexed";
      });
      bar.value = 1;
      const how = { 200: "replaced", 201: "added", 202: "stored, search will find it soon" }[status];
      fill(state, pill(how, "good"), body.warnings?.length ? pill(count(body.warnings.length, "warning"), "warn") : "");
    } catch (error) {
      fill(state, pill("failed", "bad"), ` ${error.message}`);
    }
  });
  return view;
}
