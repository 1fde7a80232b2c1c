"use strict";
// Text reaches the page as text nodes only: documents are strangers' data.

const find = (id) => document.getElementById(id);

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// The key stays in this tab.
function keyField() {
  const field = find("key");
  field.value = sessionStorage.getItem("key") ?? "";
  field.addEventListener("input", () => sessionStorage.setItem("key", field.value));
}

// Sends a request to a path below the folder of this page, wherever a proxy has
// put the server; `ms` is the time until the whole answer was here.
async function call(method, path, body, mediaType = "application/json") {
  const headers = {};
  const key = find("key").value.trim();
  if (key) headers["Authorization"] = `Bearer ${key}`;
  if (body !== undefined) headers["Content-Type"] = mediaType;
  const started = performance.now();
  const response = await fetch(path.replace(/^\//, ""), { method, headers, body });
  const text = await response.text();
  const ms = Math.round(performance.now() - started);
  let json = null;
  if (/json/.test(response.headers.get("content-type") ?? "")) json = JSON.parse(text);
  return { status: response.status, ok: response.ok, headers: response.headers, text, json, ms };
}

// "perkey";r=59;t=1 → 59
function remaining(headers) {
  const found = /;r=(\d+)/.exec(headers.get("ratelimit") ?? "");
  return found && found[1];
}

function complaint(answer) {
  const places = (answer.json?.errors ?? []).map((one) => `${one.pointer ?? one.parameter} ${one.detail}`);
  return [answer.json?.detail ?? `Status ${answer.status}`, ...places].join(" ");
}
