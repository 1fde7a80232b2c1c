"use strict";

keyField();
show().catch((error) => find("operations").append(`The description cannot be read: ${error.message}`));

async function show() {
  const description = (await call("GET", "/openapi.json")).json;
  const groups = new Map();
  for (const [path, item] of Object.entries(description.paths)) {
    for (const [method, operation] of Object.entries(item)) {
      const tag = operation.tags[0];
      groups.set(tag, [...(groups.get(tag) ?? []), operationView(path, method.toUpperCase(), operation)]);
    }
  }
  for (const [tag, views] of groups) {
    find("operations").append(element("section", {}, element("h2", { textContent: tag }), ...views));
  }
}

function operationView(path, method, operation) {
  const head = element("summary", {},
    element("span", { className: "method", textContent: method }),
    element("code", { textContent: path }), element("span", { className: "soft", textContent: `  ${operation.summary}` }));
  const view = element("details", { id: operation.operationId }, head);
  view.addEventListener("toggle", () => {
    if (view.open && view.childElementCount === 1) view.append(...details(path, method, operation));
  });
  return view;
}

function details(path, method, operation) {
  const fields = operation.parameters.map((parameter) => {
    const value = parameter.name === "collection" ? "default" : "";
    const input = element("input", { value, required: parameter.required });
    const label = `${parameter.name}${parameter.required ? "" : " (optional)"} ${parameter.description ?? ""}`;
    return { parameter, input, view: element("label", { textContent: label }, input) };
  });
  const content = operation.requestBody?.content["application/json"];
  const body = content && element("textarea", {
    className: "code", value: JSON.stringify(content.example, null, 2), ariaLabel: "Body",
  });
  const shown = element("div", { role: "status" });
  const form = element("form", {}, ...fields.map((field) => field.view), ...(body ? [body] : []),
    element("p", {}, element("button", { textContent: "Try it" })), shown);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      answered(shown, await call(method, target(path, fields), body?.value || undefined));
    } catch (error) {
      shown.textContent = `The server cannot be reached: ${error.message}`;
    }
  });
  return [element("p", { className: "soft", textContent: operation.description ?? "Needs no key." }), form,
    responses(operation), ...(content ? [schema("Body", content.schema)] : [])];
}

function target(path, fields) {
  const query = new URLSearchParams();
  for (const { parameter, input } of fields) {
    if (parameter.in === "path") path = path.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
    else if (input.value) query.set(parameter.name, input.value);
  }
  return query.size ? `${path}?${query}` : path;
}

function answered(place, answer) {
  const facts = [`${answer.status}`, `${answer.ms} ms`];
  const left = remaining(answer.headers);
  if (left) facts.push(`${left} units left`);
  facts.push(answer.headers.get("x-request-id") ?? "");
  const text = answer.json ? JSON.stringify(answer.json, null, 2) : answer.text;
  place.replaceChildren(
    element("span", { className: answer.ok ? "soft" : "bad", textContent: facts.join("  ·  ") }),
    element("pre", { textContent: text || "(no body)" }));
}

function responses(operation) {
  const rows = Object.entries(operation.responses).map(([status, response]) =>
    element("tr", {}, element("td", {}, element("code", { textContent: status })),
      element("td", { textContent: response.description })));
  return element("details", {}, element("summary", { textContent: "Answers" }), element("table", {}, element("tbody", {}, ...rows)));
}

function schema(title, described) {
  const text = JSON.stringify(described, null, 2);
  return element("details", {}, element("summary", { textContent: `${title}: schema` }), element("pre", { textContent: text }));
}
