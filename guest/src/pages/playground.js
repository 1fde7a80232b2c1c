"use strict";

keyField();

const base = () => `/v1/collections/${encodeURIComponent(find("collection").value)}`;
const documentOf = (id) => `${base()}/documents/${encodeURIComponent(id)}`;
const absolute = (path) => new URL(path.replace(/^\//, ""), document.baseURI).href;

// The turns so far, as they are sent to the server with the next question.
let turns = [];
// Ends the answer that is coming in.
let coming = null;

function said(id, text, bad = false) {
  const place = find(id);
  place.textContent = text;
  place.classList.toggle("bad", bad);
}

function quota(headers) {
  const left = remaining(headers);
  if (left) find("quota").textContent = `${left} units of the key's budget left`;
}

// Runs what a form does, once at a time, and shows what goes wrong.
function onSubmit(form, place, work) {
  find(form).addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = find(form).querySelector("button");
    if (button.getAttribute("aria-busy") === "true") return;
    button.setAttribute("aria-busy", "true");
    said(place, "…");
    try {
      await work();
    } catch (error) {
      said(place, `The server cannot be reached: ${error.message}`, true);
    } finally {
      button.removeAttribute("aria-busy");
    }
  });
}

function options(id, values, kept = find(id).value) {
  find(id).replaceChildren(...values.map(([value, text]) => element("option", { value, textContent: text })));
  if (values.some(([value]) => value === kept)) find(id).value = kept;
}

// --- What the server offers.

// Who can answer stands in the description of the API, the default first.
async function offerGenerators() {
  const description = (await call("GET", "/openapi.json")).json;
  const names = description.components.schemas.Generator.enum;
  options("generator", names.map((name, index) => [name, index === 0 ? `${name} (default)` : name]));
}

async function offerCollections() {
  if (!find("key").value.trim()) return;
  const answer = await call("GET", "/v1/collections");
  quota(answer.headers);
  if (answer.ok) options("collection", answer.json.collections.map(({ name }) => [name, name]));
  await offerLanguages();
}

// The languages of the first documents of the collection.
async function offerLanguages() {
  if (!find("key").value.trim()) return;
  const answer = await call("GET", `${base()}/documents?limit=100`);
  if (!answer.ok) return;
  const names = new Intl.DisplayNames(["en"], { type: "language", fallback: "code" });
  const known = [...new Set(answer.json.documents.map(({ language }) => language).filter(Boolean))].sort();
  options("language", [["", "any language"], ...known.map((one) => [one, names.of(one)])]);
}

const quietly = (work) => () => work().catch((error) => said("ask-said", `The server cannot be reached: ${error.message}`, true));
find("key").addEventListener("change", quietly(offerCollections));
find("collection").addEventListener("change", quietly(async () => {
  restart();
  await offerLanguages();
}));
quietly(offerGenerators)();
quietly(offerCollections)();

// --- The conversation.

function restart() {
  coming?.abort();
  turns = [];
  find("turns").replaceChildren();
  find("sources").replaceChildren(element("p", { className: "soft", textContent: "What an answer quotes is shown here, in the text that it comes from." }));
  said("ask-said", "");
}

function turn(who, kind) {
  const text = element("p", { className: "says" });
  const view = element("li", { className: kind }, element("span", { className: "who", textContent: who }), text);
  find("turns").append(view);
  view.scrollIntoView({ block: "nearest" });
  return { view, text };
}

// The question with all that was said before it.
function request(question) {
  const language = find("language").value;
  const body = {
    model: `ragtime/${find("collection").value}`,
    messages: [...turns, { role: "user", content: question }],
    stream: true,
    generator: find("generator").value,
  };
  if (language) body.filter = { $language: { in: [language] } };
  return { method: "POST", url: absolute("/v1/chat/completions"), body, streams: true };
}

// Hands the data of each event to `handle`, until the last one.
async function read(response, handle) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) throw new Error("the answer broke off");
    const pieces = (rest + value).split("\n\n");
    rest = pieces.pop();
    for (const piece of pieces) {
      const data = /^data: (.*)$/m.exec(piece)?.[1];
      if (data === "[DONE]") return;
      if (data) handle(JSON.parse(data));
    }
  }
}

function authorization() {
  const key = find("key").value.trim();
  return key ? { Authorization: `Bearer ${key}` } : {};
}

async function ask(question) {
  const asked = request(question);
  showSnippets(asked);
  turn("You", "you").text.textContent = question;
  const { view, text } = turn("Ragtime", "ragtime");
  const started = performance.now();
  coming = new AbortController();
  find("stop").hidden = false;
  let last = null;
  let wrong = null;
  try {
    const response = await fetch(asked.url, {
      method: asked.method, signal: coming.signal, body: JSON.stringify(asked.body),
      headers: { ...authorization(), "Content-Type": "application/json" },
    });
    quota(response.headers);
    if (!response.ok) {
      wrong = complaint({ status: response.status, json: await response.json().catch(() => null) });
    } else {
      await read(response, (data) => {
        if (data.error || data.code) wrong = data.error?.message ?? data.detail;
        const delta = data.choices?.[0]?.delta;
        if (!delta) return;
        text.textContent += delta.content ?? "";
        if (delta.citations) last = delta;
      });
    }
  } catch (error) {
    if (!coming.signal.aborted) throw error;
    wrong = "Stopped.";
  } finally {
    coming = null;
    find("stop").hidden = true;
  }
  if (wrong !== null) {
    view.classList.add("bad");
    text.textContent += ` ${wrong}`;
    return said("ask-said", wrong, true);
  }
  turns = [...asked.body.messages, { role: "assistant", content: text.textContent }];
  said("ask-said", `${Math.round(performance.now() - started)} ms${last?.confidence === undefined || last?.confidence === null ? "" : `, confidence ${last.confidence}`}`);
  await showSources(view, last?.citations ?? []);
}

onSubmit("ask", "ask-said", async () => {
  const question = find("query").value.trim();
  if (!question) return;
  find("query").value = "";
  await ask(question);
});
// A question goes with Enter; Shift and Enter begin a new line.
find("query").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  find("ask").requestSubmit();
});
find("stop").addEventListener("click", () => coming?.abort());
find("restart").addEventListener("click", () => {
  restart();
  find("query").focus();
});

// --- Sources.

// The quotes of an answer under it, and beside it the texts that they come from.
async function showSources(view, citations) {
  if (!citations.length) return;
  const list = element("ol", { className: "cites" }, ...citations.map((citation, index) => {
    const go = element("button", { type: "button", textContent: citation.quote });
    go.addEventListener("click", () => showTexts(citations).then(() => light(index)));
    return element("li", {}, go, element("small", { textContent: ` ${citation.document_id}` }));
  }));
  view.append(list);
  await showTexts(citations);
}

// The answer whose sources are shown.
let shown = null;

async function showTexts(citations) {
  if (shown === citations && find("cite-0")) return;
  shown = citations;
  const texts = await Promise.all(bySource(citations).map(([id, spans]) => sourceOf(id, spans)));
  if (shown === citations) find("sources").replaceChildren(...texts);
}

function bySource(citations) {
  const sources = new Map();
  citations.forEach((citation, index) => {
    const known = sources.get(citation.document_id) ?? [];
    sources.set(citation.document_id, [...known, { ...citation.span, index }]);
  });
  return [...sources];
}

async function sourceOf(id, spans) {
  const answer = await call("GET", documentOf(id));
  quota(answer.headers);
  const title = element("h3", { textContent: answer.json?.title || id });
  if (!answer.ok) return element("article", {}, title, element("p", { className: "bad", textContent: complaint(answer) }));
  const text = element("div", { className: "source", tabIndex: 0, ariaLabel: `Text of ${id}` }, ...lit(answer.json.text, spans));
  text.setAttribute("role", "region");
  return element("article", {}, title, text);
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
  mark.scrollIntoView({ block: "nearest" });
}

// --- Documents.

onSubmit("put", "put-said", async () => {
  const body = { text: find("text").value };
  const path = documentOf(find("id").value);
  showSnippets({ method: "PUT", url: absolute(path), body });
  const answer = await call("PUT", path, JSON.stringify(body));
  quota(answer.headers);
  if (!answer.ok) return said("put-said", complaint(answer), true);
  said("put-said", `${answer.status === 201 ? "Added" : "Replaced"}: ${answer.json.chunks} passages, ${answer.ms} ms`);
  await offerLanguages();
});

// Sends files one after the other. Each has a line that shows how far it is.
async function upload(files) {
  for (const file of files) {
    const status = element("span", { className: "soft", textContent: "on its way" });
    find("uploads").prepend(element("li", {}, `${file.name} `, status));
    const path = documentOf(file.name);
    const type = file.type || "application/octet-stream";
    showSnippets({ method: "PUT", url: absolute(path), file: { name: file.name, type } });
    try {
      const answer = await call("PUT", path, file, type);
      quota(answer.headers);
      const warned = answer.json?.warnings?.map((one) => one.detail).join(" ") ?? "";
      status.textContent = answer.ok ? `${answer.status === 201 ? "added" : "replaced"}: ${answer.json.chunks} passages. ${warned}` : complaint(answer);
      status.classList.toggle("bad", !answer.ok);
    } catch (error) {
      status.textContent = `The server cannot be reached: ${error.message}`;
      status.classList.add("bad");
    }
  }
  await offerLanguages();
}

find("files").addEventListener("change", quietly(async () => {
  const files = [...find("files").files];
  find("files").value = "";
  await upload(files);
}));
for (const name of ["dragenter", "dragover", "dragleave", "drop"]) {
  find("drop").addEventListener(name, (event) => {
    event.preventDefault();
    find("drop").classList.toggle("over", name === "dragenter" || name === "dragover");
    if (name === "drop") quietly(() => upload([...event.dataTransfer.files]))();
  });
}
