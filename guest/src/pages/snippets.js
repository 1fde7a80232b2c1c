"use strict";
// The request that was made last, in the words of three languages. The key stands as
// $RAGTIME_KEY, so what is copied holds no secret. The programs need nothing but what
// comes with their language.

const shellQuoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

// JSON is a literal of JavaScript and, but for these three words, of Python.
function python(value) {
  if (value === true) return "True";
  if (value === false) return "False";
  if (value === null) return "None";
  if (Array.isArray(value)) return `[${value.map(python).join(", ")}]`;
  if (typeof value === "object") {
    return `{${Object.entries(value).map(([name, one]) => `${JSON.stringify(name)}: ${python(one)}`).join(", ")}}`;
  }
  return JSON.stringify(value);
}

// `request` has `method`, `url`, `body` (an object) or `file` (a name and its type), and
// whether it `streams`.
function curlLines({ method, url, body, file, streams }) {
  const mediaType = file ? file.type : "application/json";
  const data = file ? `--data-binary ${shellQuoted(`@${file.name}`)}` : `-d ${shellQuoted(JSON.stringify(body))}`;
  return [
    `curl -sS${streams ? "N" : ""} -X ${method} ${shellQuoted(url)} \\`,
    '  -H "Authorization: Bearer $RAGTIME_KEY" \\',
    `  -H ${shellQuoted(`Content-Type: ${mediaType}`)} \\`,
    `  ${data}`,
  ].join("\n");
}

function pythonLines({ method, url, body, file }) {
  const mediaType = file ? file.type : "application/json";
  const data = file ? `open(${JSON.stringify(file.name)}, "rb").read()` : `json.dumps(${python(body)}).encode()`;
  return [
    "import json, os, urllib.request",
    `request = urllib.request.Request(${JSON.stringify(url)}, method=${JSON.stringify(method)},`,
    `    data=${data},`,
    '    headers={"Authorization": "Bearer " + os.environ["RAGTIME_KEY"],',
    `             "Content-Type": ${JSON.stringify(mediaType)}})`,
    "with urllib.request.urlopen(request) as response:",
    "    for line in response:",
    '        print(line.decode(), end="")',
  ].join("\n");
}

function javaScriptLines({ method, url, body, file }) {
  const mediaType = file ? file.type : "application/json";
  const data = file ? `await fs.readFile(${JSON.stringify(file.name)})` : `JSON.stringify(${JSON.stringify(body)})`;
  return [
    ...(file ? ['import fs from "node:fs/promises";'] : []),
    `const response = await fetch(${JSON.stringify(url)}, {`,
    `  method: ${JSON.stringify(method)},`,
    `  headers: { Authorization: \`Bearer \${process.env.RAGTIME_KEY}\`, "Content-Type": ${JSON.stringify(mediaType)} },`,
    `  body: ${data},`,
    "});",
    "for await (const piece of response.body) process.stdout.write(piece);",
  ].join("\n");
}

// Shows the request in place of the one before.
function showSnippets(request) {
  find("did").textContent = `${request.method} ${new URL(request.url).pathname}`;
  const kinds = [["curl", curlLines], ["Python", pythonLines], ["JavaScript", javaScriptLines]];
  find("snippets").replaceChildren(...kinds.map(([name, lines], index) => {
    const code = element("pre", { textContent: lines(request), tabIndex: 0, id: `snippet-${name.toLowerCase()}`, ariaLabel: `${name} for the last request` });
    code.setAttribute("role", "region");
    return element("details", { open: index === 0, name: "snippet" }, element("summary", { textContent: name }), code);
  }));
}
