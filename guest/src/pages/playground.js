"use strict";

keyField();

const base = () => `/v1/collections/${encodeURIComponent(find("collection").value.trim())}`;

function said(id, text, bad = false) {
  const place = find(id);
  place.textContent = text;
  place.classList.toggle("bad", bad);
}

function quota(answer) {
  const left = remaining(answer.headers);
  if (left) find("quota").textContent = `${left} units of the key's budget left`;
}

// Runs what a form does, once at a time, and shows what goes wrong.
function onSubmit(form, place, work) {
  find(form).addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = event.submitter ?? find(form).querySelector("button");
    button.disabled = true;
    said(place, "…");
    try {
      await work();
    } catch (error) {
      said(place, `The server cannot be reached: ${error.message}`, true);
    } finally {
      button.disabled = false;
    }
  });
}

onSubmit("put", "put-said", async () => {
  const path = `${base()}/documents/${encodeURIComponent(find("id").value)}`;
  const answer = await call("PUT", path, JSON.stringify({ text: find("text").value }));
  quota(answer);
  if (!answer.ok) return said("put-said", complaint(answer), true);
  said("put-said", `${answer.status === 201 ? "Added" : "Replaced"}: ${answer.json.chunks} passages, ${answer.ms} ms`);
});

onSubmit("ask", "ask-said", async () => {
  for (const id of ["answer", "cites", "sources"]) find(id).replaceChildren();
  const answer = await call("POST", `${base()}/query`, JSON.stringify({ query: find("query").value }));
  quota(answer);
  if (!answer.ok) return said("ask-said", complaint(answer), true);
  const { json } = answer;
  said("ask-said", `${json.generator}: ${json.took_ms} ms, ${answer.ms} ms with the way there and back`);
  find("answer").textContent = json.answer || "The documents do not hold an answer.";
  await Promise.all(bySource(json.citations).map(([id, citations]) => showSource(id, citations)));
  json.citations.forEach((citation, index) => {
    const go = element("button", { type: "button", textContent: citation.quote });
    go.addEventListener("click", () => light(index));
    find("cites").append(element("li", {}, go, element("small", { textContent: ` ${citation.document_id}` })));
  });
});

function bySource(citations) {
  const sources = new Map();
  citations.forEach((citation, index) => {
    const known = sources.get(citation.document_id) ?? [];
    sources.set(citation.document_id, [...known, { ...citation.span, index }]);
  });
  return [...sources];
}

async function showSource(id, spans) {
  const answer = await call("GET", `${base()}/documents/${encodeURIComponent(id)}`);
  quota(answer);
  if (!answer.ok) return;
  const text = element("div", { className: "source", tabIndex: 0 }, ...lit(answer.json.text, spans));
  const title = element("h2", { textContent: answer.json.title || id });
  find("sources").append(element("section", {}, title, text));
}

// The text with its cited spans lit up. Spans count bytes of UTF-8.
function lit(text, spans) {
  const bytes = new TextEncoder().encode(text);
  const slice = (start, end) => new TextDecoder().decode(bytes.subarray(start, end));
  const pieces = [];
  let at = 0;
  for (const { start, end, index } of [...spans].sort((a, b) => a.start - b.start)) {
    if (start < at) continue;
    const mark = element("mark", { id: `cite-${index}`, textContent: slice(start, end) });
    pieces.push(slice(at, start), mark);
    at = end;
  }
  return [...pieces, slice(at, bytes.length)];
}

function light(index) {
  document.querySelectorAll("mark.on").forEach((mark) => mark.classList.remove("on"));
  const mark = find(`cite-${index}`);
  if (!mark) return;
  mark.classList.add("on");
  mark.scrollIntoView({ block: "center", behavior: "smooth" });
}
