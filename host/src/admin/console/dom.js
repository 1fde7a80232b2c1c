// Text reaches the page as text nodes only: documents, names and labels are strangers'
// data. Nothing here, and nothing that uses it, writes HTML.

const SVG = "http://www.w3.org/2000/svg";

export const find = (id) => document.getElementById(id);

function given(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
}

// An element with properties (`class`, `data-…`, `aria-…`, `for` and `role` as attributes).
export function el(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [property, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (property.startsWith("on")) made.addEventListener(property.slice(2), value);
    else if (/^(class|for|role|colspan|scope|data-.*|aria-.*)$/.test(property)) made.setAttribute(property, value);
    else made[property] = value;
  }
  made.append(...given(children));
  return made;
}

export function svg(name, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  made.append(...given(children));
  return made;
}

export function fill(place, ...children) {
  place.replaceChildren(...given(children));
  return place;
}

// Replaces a region that is drawn again and again, and keeps focus and scroll where they
// were: elements with the same `data-focus` are the same to whoever uses them.
export function redraw(place, ...children) {
  const named = () => [...place.querySelectorAll("[data-focus]")];
  const held = place.contains(document.activeElement) ? document.activeElement.dataset.focus : undefined;
  const scrolled = new Map(named().filter((one) => one.scrollLeft).map((one) => [one.dataset.focus, one.scrollLeft]));
  fill(place, ...children);
  for (const one of named()) {
    if (scrolled.has(one.dataset.focus)) one.scrollLeft = scrolled.get(one.dataset.focus);
    if (one.dataset.focus === held) one.focus({ preventScroll: true });
  }
  return place;
}

const plain = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const fine = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
const clock = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short", hour12: false });

export const number = (value) => (value === null || value === undefined ? "–" : plain.format(value));
export const rounded = (value) => (value === null || value === undefined ? "–" : fine.format(value));
export const percent = (share) => `${fine.format(share * 100)} %`;
export const count = (many, one, several = `${one}s`) => `${number(many)} ${many === 1 ? one : several}`;

export function duration(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms < 1000) return `${fine.format(ms)} ms`;
  if (ms < 120_000) return `${fine.format(ms / 1000)} s`;
  return `${number(ms / 60_000)} min`;
}

export function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB"];
  let unit = 0;
  while (bytes >= 1024 && unit < units.length - 1) {
    bytes /= 1024;
    unit += 1;
  }
  return `${fine.format(bytes)} ${units[unit]}`;
}

export function when(text) {
  if (!text) return "never";
  const date = new Date(typeof text === "number" ? text * 1000 : text);
  return el("time", { dateTime: date.toISOString(), title: date.toISOString() }, clock.format(date));
}

// What has a state carries the word for it, so that no meaning is in a colour alone.
export const pill = (text, kind = "") => el("span", { class: `pill ${kind}` }, text);

export const code = (text, title) => el("code", { title }, text);

export const field = (label, control, hint) =>
  el("label", { class: "field" }, el("span", {}, label), control, hint && el("small", {}, hint));

// A table with its heading, in a box that scrolls by itself where it is too wide, and
// can be reached by the keyboard for that.
export function table(caption, heads, rows, empty) {
  const head = heads.map((text) => el("th", { scope: "col" }, text));
  const body = rows.length ? rows : [el("tr", {}, el("td", { class: "soft", colspan: heads.length }, empty))];
  return el("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": caption, "data-focus": caption },
    el("table", {}, el("caption", {}, caption), el("thead", {}, el("tr", {}, head)), el("tbody", {}, body)));
}

export const row = (...cells) => el("tr", {}, cells.map((cell) => (cell instanceof HTMLTableCellElement ? cell : el("td", {}, cell))));

let silence;

// Says what was done, or what went wrong, to those who look and those who listen.
export function say(text, bad = false) {
  const place = find("said");
  fill(place, el("p", { class: bad ? "bad" : "good" }, text));
  clearTimeout(silence);
  silence = setTimeout(() => fill(place), bad ? 12_000 : 6_000);
}

// A button that does its work once at a time, and shows what went wrong.
export function action(text, work, properties = {}) {
  const button = el("button", { type: "button", "data-focus": text, ...properties }, text);
  button.addEventListener("click", () => once(button, work));
  return button;
}

export async function once(button, work) {
  if (button.getAttribute("aria-busy") === "true") return;
  // The button keeps the focus, which `disabled` would take from it.
  button.setAttribute("aria-busy", "true");
  try {
    await work();
  } catch (error) {
    say(error.message, true);
  } finally {
    button.removeAttribute("aria-busy");
  }
}

// A form whose controls are read by name.
export function form(work, button, ...children) {
  const submit = el("button", { type: "submit" }, button);
  const made = el("form", { class: "form" }, children, el("p", { class: "row" }, submit));
  made.addEventListener("submit", (event) => {
    event.preventDefault();
    once(submit, () => work(made.elements, made));
  });
  return made;
}

// Opens a dialog; resolves with what the button that closed it stands for.
export function dialog(title, content, buttons) {
  return new Promise((resolve) => {
    const heading = el("h2", { id: "dialog-title" }, title);
    const made = el("dialog", { "aria-labelledby": "dialog-title" }, heading, content);
    const close = (value) => {
      made.close();
      made.remove();
      resolve(value);
    };
    made.append(el("p", { class: "row end" }, buttons.map(({ text, value, kind }) =>
      el("button", { type: "button", class: kind ?? "quiet", onclick: () => close(value) }, text))));
    made.addEventListener("cancel", (event) => {
      event.preventDefault();
      close(null);
    });
    document.body.append(made);
    made.showModal();
  });
}

// Asks before what cannot be undone.
export const sure = (title, text, button) =>
  dialog(title, el("p", {}, text), [{ text: "Cancel", value: false }, { text: button, value: true, kind: "danger" }]);

// Pieces of a text by spans of UTF-8 bytes.
export function slicer(text) {
  const bytes = new TextEncoder().encode(text);
  const decoder = new TextDecoder();
  const slice = (start, end) => decoder.decode(bytes.subarray(start, end));
  return { slice, length: bytes.length };
}
