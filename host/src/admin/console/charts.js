// Charts of the last hour: lines for who sees them, and a table for everybody.

import { el, fill, number, row, svg, table } from "./dom.js";

const HOUR_MS = 3_600_000;
const WIDTH = 600;
const HEIGHT = 140;
// Points of a line: means of half a minute, which a line of this width can show apart.
const POINTS = 120;
// Rows of the table that stands for the lines: five minutes each.
const ROWS = 12;

// The next number from 1, 2, 5, 10, 20, … units that is not below.
function ceiling(most, unit) {
  if (!(most > 0)) return unit;
  const power = unit * 10 ** Math.floor(Math.log10(most / unit));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= most);
}

function mean(samples, of) {
  const values = samples.map(of).filter((value) => value !== null);
  return values.length ? values.reduce((sum, value) => sum + value, 0) / values.length : null;
}

// The samples of each of `many` equal parts of the last hour, oldest first.
function split(samples, many, now) {
  const parts = Array.from({ length: many }, () => []);
  for (const sample of samples) {
    const part = Math.floor((1 - (now - sample.at) / HOUR_MS) * many);
    parts[Math.min(part, many - 1)]?.push(sample);
  }
  return parts;
}

// The points of the lines of a series. A line breaks where nothing was measured: a gap is
// not a zero.
function lines(parts, of, top) {
  const all = [[]];
  parts.forEach((part, index) => {
    const value = mean(part, of);
    if (value === null) return all.push([]);
    all.at(-1).push(`${((WIDTH * (index + 0.5)) / POINTS).toFixed(1)},${(HEIGHT - (HEIGHT * value) / top).toFixed(1)}`);
  });
  // A point alone is a line without length, or nobody would see it.
  return all.filter((points) => points.length).map((points) => (points.length === 1 ? [points[0], points[0]] : points));
}

function rows(samples, series, format, now) {
  const minutes = HOUR_MS / 60_000 / ROWS;
  return split(samples, ROWS, now).reverse().map((part, index) =>
    row(el("th", { scope: "row" }, `${number(index * minutes)} to ${number((index + 1) * minutes)} min ago`),
      ...series.map(({ of }) => format(mean(part, of)))));
}

// A chart of `series`: name, class of its line, and `of`, which takes a number or null
// from a sample. `unit` is what the numbers of its scale are made of. `update` draws it
// again.
export function chart(title, series, format, unit = 1) {
  const drawing = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" });
  const top = el("span", { class: "top" });
  const legend = el("ul", { class: "legend" });
  const details = el("div");
  const more = el("details", {}, el("summary", {}, "As a table"), details);
  let drawn = () => {};
  more.addEventListener("toggle", () => drawn());
  const view = el("section", { class: "card chart" }, el("h3", {}, title), legend,
    el("div", { class: "plot" }, drawing, top,
      el("span", { class: "then" }, "1 hour ago"), el("span", { class: "now" }, "now")), more);

  function update(samples) {
    const now = Date.now();
    const parts = split(samples, POINTS, now);
    const most = ceiling(Math.max(0, ...series.flatMap(({ of }) => parts.map((part) => mean(part, of) ?? 0))), unit);
    top.textContent = format(most);
    const grid = [0.25, 0.5, 0.75].map((part) =>
      svg("line", { class: "grid", x1: 0, x2: WIDTH, y1: HEIGHT * part, y2: HEIGHT * part }));
    const drawnLines = series.flatMap(({ of, kind }) => lines(parts, of, most).map((points) =>
      svg("polyline", { class: kind, points: points.join(" ") })));
    const last = samples.at(-1);
    const labels = series.map(({ name, of }) => `${name} ${last ? format(of(last)) : "–"}`);
    drawing.setAttribute("aria-label", `${title} over the last hour. Now: ${labels.join(", ")}.`);
    fill(drawing, grid, drawnLines);
    fill(legend, series.map(({ kind }, index) => el("li", { class: kind }, labels[index])));
    drawn = () => {
      if (!more.open) return;
      fill(details, table(`${title}, means of five minutes`, ["When", ...series.map(({ name }) => name)],
        rows(samples, series, format, now), ""));
    };
    drawn();
  }

  return { view, update };
}
