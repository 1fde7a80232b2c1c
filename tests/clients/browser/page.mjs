// What the programs that drive a browser have in common.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export const { SERVER, ADMIN_SERVER, KEY } = process.env;
export const DESKTOP = { width: 1280, height: 900 };
export const PHONE = { width: 390, height: 844 };

// How long the browser may take for anything: it shares a busy machine.
const PATIENCE_MS = 30_000;

// Runs `work` with a page of a browser of its own, and holds the page to what every page
// has to keep: no error, no dialog of a script, no request to another server.
export async function browse(own, work, { viewport = DESKTOP, colorScheme = "light" } = {}) {
  const root = process.getuid?.() === 0;
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM, timeout: PATIENCE_MS,
    args: ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", ...(root ? ["--no-sandbox"] : [])],
  });
  try {
    const context = await browser.newContext({ viewport, colorScheme, reducedMotion: "reduce", locale: "en-GB", timezoneId: "UTC" });
    context.setDefaultTimeout(PATIENCE_MS);
    const page = await context.newPage();
    const [wrong, asked] = [[], []];
    page.on("console", (line) => line.type() === "error" && wrong.push(line.text()));
    page.on("pageerror", (error) => wrong.push(String(error)));
    page.on("dialog", (dialog) => wrong.push(dialog.message()));
    page.on("request", (request) => asked.push(request.url()));
    await work(page, context);
    // An answer with an error is logged as one by the browser too; those are wanted here.
    const unwanted = wrong.filter((line) => !line.startsWith("Failed to load resource"));
    assert.deepEqual(unwanted, []);
    assert.deepEqual(asked.filter((url) => !url.startsWith(own) && !url.startsWith("data:")), []);
  } finally {
    await browser.close();
  }
}

// A request to the server, past the browser.
export async function api(method, path, body, { key = KEY, type = "application/json", base = SERVER } = {}) {
  const headers = { Authorization: `Bearer ${key}`, ...(body === undefined ? {} : { "Content-Type": type }) };
  const sent = body === undefined || typeof body === "string" ? body : JSON.stringify(body);
  const response = await fetch(`${base}${path}`, { method, headers, body: sent });
  const text = await response.text();
  return { status: response.status, body: text && /json/.test(response.headers.get("content-type")) ? JSON.parse(text) : text };
}

// Asks until it is so.
export async function until(what, ask) {
  for (const started = Date.now(); ; ) {
    if (await ask()) return;
    assert.ok(Date.now() - started < PATIENCE_MS, `it did not come to it: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

// Holds a page against the rules of accessibility, and to its width.
export async function accessible(page, what) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => window.axe.run(document, {
    runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
  }));
  const summaries = violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`).slice(0, 3).join("; ")}`);
  assert.deepEqual(summaries, [], what);
  const over = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  assert.ok(over <= 0, `${what}: wider than the screen by ${over}`);
}

export { assert };
