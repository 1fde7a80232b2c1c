// The operator's console in headless Chromium. Arguments: what to try, and a folder.

import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import http from "node:http";
import { join } from "node:path";
import { accessible, ADMIN_SERVER, api, assert, browse, DESKTOP, KEY, PHONE, SERVER, until } from "./page.mjs";

const [what, folder] = process.argv.slice(2);

const HOSTILE = "<script>alert(1)</script> <img src=x onerror=alert(2)> Ragtime was born in Missouri.\n\n".repeat(12);

async function signIn(page, key = KEY) {
  await page.goto(`${ADMIN_SERVER}/`);
  await page.getByLabel("Key").fill(key);
  await page.getByRole("button", { name: "Sign in" }).click();
}

async function entered(page) {
  await signIn(page);
  await page.getByRole("heading", { name: "Overview" }).waitFor();
}

const go = async (page, name) => {
  await page.getByRole("navigation").getByRole("link", { name }).click();
  await page.getByRole("heading", { name, level: 1 }).waitFor();
};

const inDialog = (page) => page.getByRole("dialog");

// What the page says was done, or that it went wrong.
const said = (page, text) => page.locator("#said", { hasText: text }).waitFor();

const tries = {
  // A wrong key, one without the scope, then the right one, which is kept nowhere.
  session: () => browse(ADMIN_SERVER, async (page, context) => {
    const reader = (await api("POST", "/v1/keys", { name: "reader", scopes: ["read", "write"] })).body.credential;
    await signIn(page, "rt_000000000000_0000000000000000000000000000000000000000009");
    await page.getByRole("alert").filter({ hasText: "not valid" }).waitFor();
    await signIn(page, reader);
    await page.getByRole("alert").filter({ hasText: "scope" }).waitFor();
    await entered(page);
    await page.locator("#live", { hasText: "live" }).waitFor();
    await page.getByText("no model wanted, search is lexical only").waitFor();
    const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, location.href, document.body.innerHTML]));
    assert.ok(!kept.includes(KEY.split("_")[2]), kept);
    assert.deepEqual((await context.cookies()).length, 0);
    // A tab that is loaded again has forgotten it.
    await page.reload();
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    await entered(page);
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    assert.equal(await page.getByRole("navigation").isVisible(), false);
  }),

  documents: () => browse(ADMIN_SERVER, async (page) => {
    await entered(page);
    await go(page, "Documents");
    await page.getByLabel(/^Name/).fill("papers");
    await page.getByRole("button", { name: "Make it" }).click();
    await page.getByRole("link", { name: "papers" }).click();
    assert.equal((await api("GET", "/v1/collections/papers")).status, 200);

    // Two files by choice, one that is refused, one by drag and drop.
    await page.locator("#files").setInputFiles([
      { name: "hostile.txt", mimeType: "text/plain", buffer: Buffer.from(HOSTILE) },
      { name: "rag.md", mimeType: "text/markdown", buffer: Buffer.from("# Rags\n\nScott Joplin wrote the Maple Leaf Rag in 1899.\n") },
      { name: "picture.png", mimeType: "image/png", buffer: Buffer.from("89504e470d0a1a0a0000000d49484452", "hex") },
    ]);
    const line = (name) => page.locator(`.uploads [data-file="${name}"]`);
    await line("hostile.txt").getByText("added").waitFor();
    await line("rag.md").getByText("added").waitFor();
    await line("picture.png").getByText("failed").waitFor();
    assert.equal(await line("rag.md").locator("progress").evaluate((bar) => bar.value), 1);
    const dropped = await page.evaluateHandle(() => {
      const data = new DataTransfer();
      data.items.add(new File(["Entertainers play ragtime."], "dropped.txt", { type: "text/plain" }));
      return data;
    });
    await page.dispatchEvent(".drop", "drop", { dataTransfer: dropped });
    await line("dropped.txt").getByText("added").waitFor();
    const stored = await api("GET", "/v1/collections/papers/documents/hostile.txt");
    assert.equal(stored.body.text.trimEnd(), HOSTILE.trimEnd());

    // Search lights what it found.
    await page.getByRole("searchbox").fill("Maple Leaf Rag");
    await page.getByRole("button", { name: "Search" }).click();
    await page.locator(".results mark", { hasText: "Maple" }).first().waitFor();

    // Cut again, by the page of the collection.
    await page.getByRole("button", { name: "Rechunk…" }).click();
    await inDialog(page).getByLabel("Tokens of a chunk").fill("60");
    await inDialog(page).getByLabel("Tokens of overlap").fill("10");
    await inDialog(page).getByRole("button", { name: "Rechunk" }).click();
    await until("the documents are cut again", async () => {
      const { body } = await api("GET", "/v1/collections/papers");
      return body.chunking.tokens === 60 && body.chunking.overlap === 10 && body.uncut_documents === 0;
    });
    await page.getByText("chunks of about 60 tokens, 10 of overlap").waitFor();

    // The text is text, and its passages are where the API says.
    await page.getByRole("link", { name: "hostile.txt" }).first().click();
    await page.getByRole("heading", { name: "Text", exact: true }).waitFor();
    assert.equal(await page.locator(".text").textContent(), stored.body.text);
    assert.equal(await page.locator("main script, main img").count(), 0);
    const { chunks } = (await api("GET", "/v1/collections/papers/documents/hostile.txt/chunks")).body;
    assert.ok(chunks.length > 2, JSON.stringify(chunks));
    await page.getByRole("button", { name: "Passage 2", exact: true }).click();
    assert.equal((await page.locator(".text .on").allTextContents()).join(""), chunks[1].text);

    // A warning says what to do about it.
    const latin = await fetch(`${SERVER}/v1/collections/papers/documents/latin.txt`, { method: "PUT",
      headers: { Authorization: `Bearer ${KEY}`, "Content-Type": "text/plain" }, body: Buffer.from("Caf\xe9 musique \xe0 Paris, tr\xe8s l\xe9ger et fran\xe7ais.", "latin1") });
    assert.equal(latin.status, 201);
    await page.goto(`${ADMIN_SERVER}/console/#/documents/papers/latin.txt`);
    await page.getByText("encoding_guessed").waitFor();
    await page.getByRole("button", { name: "What to do" }).click();
    const meaning = (await api("GET", "/warnings/encoding_guessed")).body.detail;
    await page.getByText(meaning).waitFor();

    // Deleted only when that is confirmed.
    await page.getByRole("button", { name: "Delete document…" }).click();
    await inDialog(page).getByRole("button", { name: "Cancel" }).click();
    assert.equal((await api("GET", "/v1/collections/papers/documents/latin.txt")).status, 200);
    await page.getByRole("button", { name: "Delete document…" }).click();
    await inDialog(page).getByRole("button", { name: "Delete document" }).click();
    await page.getByRole("heading", { name: "papers" }).waitFor();
    assert.equal((await api("GET", "/v1/collections/papers/documents/latin.txt")).status, 404);

    // Pages, one after the other and back.
    const many = Array.from({ length: 30 }, (_, index) => ({ id: `n${String(index).padStart(2, "0")}`, text: `Number ${index} of thirty.` }));
    assert.equal((await api("POST", "/v1/collections/papers/documents?wait=indexed", { documents: many })).status, 200);
    await page.goto(`${ADMIN_SERVER}/console/#/documents`);
    await page.getByRole("link", { name: "papers" }).click();
    await page.getByRole("link", { name: "n00" }).waitFor();
    assert.equal(await page.getByRole("link", { name: "rag.md" }).count(), 0);
    await page.getByRole("button", { name: "Next page" }).click();
    await page.getByRole("link", { name: "rag.md" }).waitFor();
    await page.getByRole("button", { name: "Previous page" }).click();
    await page.getByRole("link", { name: "n00" }).waitFor();

    await page.getByRole("button", { name: "Delete collection…" }).click();
    await inDialog(page).getByRole("button", { name: "Delete collection" }).click();
    await said(page, "papers is deleted");
    assert.equal((await api("GET", "/v1/collections/papers")).status, 404);
  }),

  // The endpoint that embeds is silent by now, so the job stays at work.
  jobs: () => browse(ADMIN_SERVER, async (page) => {
    await entered(page);
    await go(page, "Jobs");
    const lines = ['{"id": "good", "text": "A march with a beat."}', '{"id": "bad", "text": 7}'].join("\n");
    const { body: job } = await api("POST", "/v1/collections/default/documents", lines, { type: "application/x-ndjson" });
    // It comes by the stream of events, without the page being loaded again.
    await page.getByRole("button", { name: job.job_id.slice(0, 13) }).first().click();
    await page.getByText("2 received, 0 indexed, 1 failed, 1 pending").waitFor();
    const { reason } = job.failed[0];
    await page.getByText(reason).first().waitFor();
    await page.getByRole("button", { name: "Cancel what is pending" }).click();
    await page.getByText("2 received, 0 indexed, 2 failed, 0 pending").waitFor();
    const after = (await api("GET", `/v1/jobs/${job.job_id}`)).body;
    assert.deepEqual([after.failed_count, after.pending, after.state], [2, 0, "done"]);
    await page.getByRole("button", { name: "Try again" }).click();
    await said(page, "tried again");
    await page.getByRole("button", { name: "Show all jobs" }).click();
    await page.getByRole("region", { name: "All jobs, newest first" }).waitFor();
  }),

  keys: () => browse(ADMIN_SERVER, async (page) => {
    await entered(page);
    await go(page, "Keys");
    await page.getByLabel(/^Name/).fill("<b>reader</b>");
    await page.getByLabel("write").check();
    await page.getByLabel(/^Collections/).fill("default");
    await page.getByLabel("Units per minute").fill("120");
    await page.getByLabel("Units at once").fill("20");
    await page.getByRole("button", { name: "Make key" }).click();
    const credential = await inDialog(page).getByLabel("Credential").inputValue();
    await inDialog(page).getByRole("button", { name: "I have it" }).click();
    const self = (await api("GET", "/v1/keys/self", undefined, { key: credential })).body;
    assert.deepEqual([self.name, self.scopes, self.collections, self.rate_per_minute, self.burst], ["<b>reader</b>", ["read", "write"], ["default"], 120, 20]);
    const mine = page.getByRole("row", { name: self.id });
    await mine.waitFor();
    assert.equal(await page.locator("main b").count(), 0);
    assert.ok(!(await page.content()).includes(credential.split("_")[2]), "a credential that was put away is still on the page");

    // What it spends shows: the look at itself, and two more.
    for (const _ of [1, 2]) await api("GET", "/v1/collections", undefined, { key: credential });
    await go(page, "Jobs");
    await go(page, "Keys");
    assert.match(await mine.innerText(), /\b3\b/);
    assert.doesNotMatch(await mine.innerText(), /never\s+never/);

    await mine.getByRole("button", { name: "Limits" }).click();
    await inDialog(page).getByLabel("Units per minute").fill("240");
    await inDialog(page).getByRole("button", { name: "Change" }).click();
    await said(page, "are changed");
    assert.equal((await api("GET", "/v1/keys/self", undefined, { key: credential })).body.rate_per_minute, 240);

    await mine.getByRole("button", { name: "Rotate" }).click();
    await inDialog(page).getByLabel("Seconds").fill("0");
    await inDialog(page).getByRole("button", { name: "Rotate" }).click();
    const rotated = await inDialog(page).getByLabel("Credential").inputValue();
    await inDialog(page).getByRole("button", { name: "I have it" }).click();
    assert.equal((await api("GET", "/v1/keys/self", undefined, { key: credential })).status, 401);
    const next = (await api("GET", "/v1/keys/self", undefined, { key: rotated })).body;

    const successor = page.getByRole("row", { name: next.id });
    await successor.getByRole("button", { name: "Revoke" }).click();
    await inDialog(page).getByRole("button", { name: "Revoke key" }).click();
    await said(page, "is revoked");
    assert.equal((await api("GET", "/v1/keys/self", undefined, { key: rotated })).status, 401);
    await successor.waitFor({ state: "detached" });

    // The session's own key: rotated, the session goes on; revoked elsewhere, it ends.
    const { body: other } = await api("POST", "/v1/keys", { name: "operator", scopes: ["read", "write", "admin"] });
    await page.getByRole("button", { name: "Sign out" }).click();
    await signIn(page, other.credential);
    await page.getByRole("heading", { name: "Overview" }).waitFor();
    await go(page, "Keys");
    const own = page.getByRole("row", { name: "this session" });
    await own.getByRole("button", { name: "Rotate" }).click();
    await inDialog(page).getByLabel("Seconds").fill("0");
    await inDialog(page).getByRole("button", { name: "Rotate" }).click();
    const adopted = await inDialog(page).getByLabel("Credential").inputValue();
    await inDialog(page).getByRole("button", { name: "I have it" }).click();
    await go(page, "Settings");
    // The page asks no more: its own requests would only learn that the key is not valid.
    await page.getByText("Who did what, newest first").waitFor();
    const { body: now } = await api("GET", "/v1/keys/self", undefined, { key: adopted });
    assert.equal((await api("DELETE", `/v1/keys/${now.id}`)).status, 204);
    await page.getByRole("alert").filter({ hasText: "revoked" }).waitFor();
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
  }),

  handler: () => browse(ADMIN_SERVER, async (page) => {
    const [same, other] = [join(folder, "same.wasm"), join(folder, "other.wasm")];
    const active = async () => (await api("GET", "/admin/guest", undefined, { base: ADMIN_SERVER })).body.active;
    const past = async () => (await api("GET", "/admin/guest/history", undefined, { base: ADMIN_SERVER })).body.history;
    await entered(page);
    await go(page, "Handler");
    const upload = async (file, sure) => {
      await page.locator("#component").setInputFiles(file);
      await page.getByRole("button", { name: "Upload" }).click();
      if (sure) await inDialog(page).getByRole("button", { name: "Replace it" }).click();
    };

    // A dry run shows what would change, and changes nothing.
    const first = await active();
    await upload(other, false);
    await page.locator(".steps").first().getByText("The dry run is sound").waitFor();
    await page.getByRole("list", { name: "Changes of imports" }).first().waitFor();
    assert.equal(await active(), first);

    // What is no component is refused, in the server's words.
    const broken = join(folder, "broken.wasm");
    writeFileSync(broken, "no component");
    await upload(broken, false);
    await page.locator(".steps .bad", { hasText: "does not compile" }).waitFor();

    // Held back until the operator decides, and then measured on live traffic.
    await page.getByLabel("Dry run").uncheck();
    await page.getByLabel("Hold it back").check();
    await page.getByLabel(/^Gate/).selectOption("canary");
    await page.getByLabel("Share in percent").fill("50");
    await page.getByLabel("For seconds").fill("600");
    await upload(same, true);
    await page.getByRole("button", { name: "Let it go on" }).click();
    const trial = page.locator("[data-trial=canary]");
    await trial.waitFor();
    for (let asked = 0; asked < 8; asked += 1) await fetch(`${SERVER}/`);
    const candidate = trial.getByRole("row", { name: "candidate" });
    await candidate.getByText("4", { exact: true }).waitFor();
    assert.equal(await active(), first);
    // Leaving the page calls it off.
    await page.reload();
    await until("the swap is called off", async () => (await past())[0].reason?.includes("called off"));

    await entered(page);
    await go(page, "Handler");
    await page.getByLabel("Dry run").uncheck();
    await upload(same, true);
    await said(page, "serves");
    const second = await active();
    assert.ok(second > first);
    const sha256 = createHash("sha256").update(readFileSync(same)).digest("hex");
    assert.equal((await past())[0].sha256, sha256);
    await page.getByRole("region", { name: "History" }).getByText("active").first().waitFor();

    await page.getByRole("button", { name: "Roll back…" }).click();
    await inDialog(page).getByRole("button", { name: "Roll back" }).click();
    await until("the component before serves", async () => await active() > second);
    assert.equal((await past())[0].kind, "rollback");
    await page.getByRole("row", { name: "rollback" }).first().waitFor();
  }),

  // The hosts as they are; the second is killed while the page is shown.
  fleet: () => browse(ADMIN_SERVER, async (page) => {
    const [here, there] = readFileSync(join(folder, "hosts"), "utf8").split(" ");
    await entered(page);
    await go(page, "Fleet");
    const hosts = page.getByRole("region", { name: "Hosts" });
    const line = (name) => hosts.getByRole("row", { name });
    await line(here).getByText("(this one)").waitFor();
    await line(here).getByText("ready").waitFor();
    await line(there).getByText("ready").waitFor();
    assert.equal(await line(there).getByText("(this one)").count(), 0);
    await until("one host leads", async () => await hosts.getByText("leads", { exact: true }).count() === 1);
    await line(there).getByText("has everything").waitFor();
    const { body } = await api("GET", "/admin/fleet", undefined, { base: ADMIN_SERVER });
    assert.deepEqual(body.hosts.map((one) => one.name).sort(), [here, there].sort());
    await page.getByText("entries were written").waitFor();
    await accessible(page, "Fleet");
    writeFileSync(join(folder, "seen"), "");
    await line(there).getByText("gone", { exact: true }).waitFor({ timeout: 60_000 });
    await line(here).getByText("ready").waitFor();
  }),

  // Requests, charts, settings: by the stream of events alone.
  live: () => browse(ADMIN_SERVER, async (page) => {
    assert.equal((await api("POST", "/v1/keys", { name: "audited", scopes: ["read"] })).status, 201);
    await entered(page);
    await go(page, "Requests");
    const asked = [];
    page.on("request", (request) => asked.push(request.url()));
    const { port, hostname } = new URL(SERVER);
    const slow = http.request({ hostname, port, method: "PUT", path: "/v1/collections/default/documents/slow",
      headers: { Authorization: `Bearer ${KEY}`, "Content-Type": "application/json", "Content-Length": 17 } });
    const ended = new Promise((resolve) => slow.on("response", (response) => response.resume().on("end", resolve)));
    slow.write('{"text": ');
    const working = page.getByRole("region", { name: "At work" });
    await working.getByText("receiving").waitFor();
    slow.end('"a rag"}');
    await ended;
    await working.getByText("None at the moment.").waitFor();
    await page.getByRole("region", { name: "The last that ended" }).getByText("PUT /v1/collections/{collection}/documents/{id}").first().waitFor();
    await api("GET", "/v1/collections/nowhere");
    await page.getByRole("region", { name: "The last that ended" }).getByText("404").first().waitFor();
    assert.deepEqual(asked, []);

    await go(page, "Overview");
    await api("POST", "/v1/collections/default/query", { query: "What is a rag?" });
    for (const title of ["Requests", "Latency", "Errors", "Index lag"]) {
      await page.locator(".chart", { has: page.getByRole("heading", { name: title, exact: true }) }).locator("polyline").first().waitFor({ state: "attached" });
    }
    const chart = page.locator(".chart", { has: page.getByRole("heading", { name: "Latency" }) });
    assert.match(await chart.getByRole("img").getAttribute("aria-label"), /Latency over the last hour\. Now: median .*, 95 % .*, 99 % .*\./);
    await chart.getByText("As a table").click();
    await chart.getByRole("rowheader", { name: "0 to 5 min ago" }).waitFor();
    const { samples } = (await api("GET", "/admin/samples", undefined, { base: ADMIN_SERVER })).body;
    assert.ok(samples.some((one) => one.requests > 0 && one.p95_ms > 0) && samples.some((one) => one.client_errors > 0), JSON.stringify(samples.slice(-3)));

    await go(page, "Settings");
    await page.getByRole("row", { name: "auth.bootstrap_key" }).getByText("[secret]").waitFor();
    await page.getByRole("row", { name: "admin.max_event_listeners" }).getByText("32").waitFor();
    await page.getByLabel("Only what is not at its default").check();
    await page.getByRole("row", { name: "admin.max_event_listeners" }).waitFor({ state: "detached" });
    await page.getByRole("row", { name: "admin.listen" }).getByText("changed").waitFor();
    await page.getByRole("region", { name: "Who did what" }).getByText("key.").first().waitFor();
  }),

  // The main acts without a pointer.
  keyboard: () => browse(ADMIN_SERVER, async (page) => {
    const press = (...keys) => keys.reduce((before, key) => before.then(() => page.keyboard.press(key)), Promise.resolve());
    // Goes on with the tabulator until the element that has the focus says so.
    const reach = async (name) => {
      for (let step = 0; step < 80; step += 1) {
        const focused = await page.evaluate(() => {
          const { activeElement } = document;
          return activeElement?.labels?.[0]?.textContent || activeElement?.ariaLabel || activeElement?.textContent || "";
        });
        if (focused.trim().startsWith(name)) {
          // Who uses the keyboard sees where the keyboard is.
          const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
          assert.notEqual(outline, "none", name);
          return;
        }
        await press("Tab");
      }
      assert.fail(`the keyboard does not reach ${name}`);
    };
    await page.goto(`${ADMIN_SERVER}/console/`);
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    await page.keyboard.type(KEY);
    await press("Enter");
    await page.getByRole("heading", { name: "Overview" }).waitFor();
    await reach("Documents");
    await press("Enter");
    await page.getByRole("link", { name: "default" }).waitFor();
    await reach("default");
    await press("Enter");
    await page.getByRole("heading", { name: "Upload" }).waitFor();
    await reach("Choose files");
    const chooser = page.waitForEvent("filechooser");
    await press("Space");
    await (await chooser).setFiles({ name: "typed.txt", mimeType: "text/plain", buffer: Buffer.from("A rag by keyboard.") });
    await page.locator('[data-file="typed.txt"]').getByText("added").waitFor();
    await page.getByRole("link", { name: "typed.txt" }).waitFor();
    await reach("typed.txt");
    await press("Enter");
    await page.getByRole("heading", { name: "Text", exact: true }).waitFor();
    await reach("Delete document…");
    await press("Enter");
    await inDialog(page).waitFor();
    await reach("Delete document");
    await press("Enter");
    await page.getByRole("heading", { name: "default" }).waitFor();
    assert.equal((await api("GET", "/v1/collections/default/documents/typed.txt")).status, 404);
    // A dialog is left by Escape, and nothing is done.
    await reach("Keys");
    await press("Enter");
    await page.getByRole("button", { name: /Revoke/ }).waitFor();
    await reach("Revoke");
    await press("Enter");
    await inDialog(page).waitFor();
    await press("Escape");
    await inDialog(page).waitFor({ state: "detached" });
    assert.equal((await api("GET", "/v1/keys/self")).status, 200);
  }),

  // Every page, in both colours, on a desk and on a phone.
  accessible: async () => {
    await api("PUT", "/v1/collections/default/documents/rag", { title: "Maple Leaf Rag", text: "Scott Joplin wrote it.\n\n".repeat(40), metadata: { year: 1899 } });
    await api("POST", "/v1/collections/default/documents?wait=indexed", '{"id": "x", "text": 7}', { type: "application/x-ndjson" });
    for (const viewport of [DESKTOP, PHONE]) {
      for (const colorScheme of ["light", "dark"]) {
        await browse(ADMIN_SERVER, async (page) => {
          const check = (name) => accessible(page, `${name}, ${colorScheme}, ${viewport.width}`);
          await page.goto(`${ADMIN_SERVER}/console/`);
          await page.getByRole("heading", { name: "Sign in" }).waitFor();
          await check("Sign in");
          await entered(page);
          await page.locator(".tile").first().waitFor();
          await page.locator(".chart summary").first().click();
          await check("Overview");
          await go(page, "Documents");
          await page.getByRole("link", { name: "default" }).waitFor();
          await check("Documents");
          await page.getByRole("link", { name: "default" }).click();
          await page.getByRole("searchbox").fill("Joplin");
          await page.getByRole("button", { name: "Search" }).click();
          await page.locator(".results").waitFor();
          await page.getByRole("button", { name: "Rechunk…" }).click();
          await check("a dialog");
          await inDialog(page).getByRole("button", { name: "Cancel" }).click();
          await check("a collection");
          await page.getByRole("row", { name: "rag" }).getByRole("link").first().click();
          await page.getByRole("button", { name: "Passage 1", exact: true }).click();
          await check("a document");
          await go(page, "Jobs");
          await page.getByRole("region", { name: "The last jobs" }).getByRole("button").first().click();
          await page.getByRole("heading", { name: "Job" }).last().waitFor();
          // A button that is at work is pale on purpose.
          await page.locator('[aria-busy="true"]').first().waitFor({ state: "detached" });
          await check("Jobs");
          await go(page, "Keys");
          await page.getByRole("button", { name: /Revoke/ }).first().waitFor();
          await check("Keys");
          await go(page, "Handler");
          await page.getByRole("region", { name: "History" }).waitFor();
          await page.getByRole("region", { name: "Generations" }).waitFor();
          await check("Handler");
          await go(page, "Fleet");
          await page.getByText("This server is alone").waitFor();
          await check("Fleet");
          await go(page, "Requests");
          await page.getByRole("region", { name: "The last that ended" }).waitFor();
          await check("Requests");
          await go(page, "Settings");
          await page.getByRole("region", { name: "Who did what" }).waitFor();
          await check("Settings");
        }, { viewport, colorScheme });
      }
    }
  },
};

const JOPLIN = `Scott Joplin wrote the Maple Leaf Rag in 1899. It was named after a club in Sedalia, Missouri, where he played.

Its left hand keeps a steady march while the right hand plays against the beat. Joplin was paid a cent for each copy that was sold, which was a small but lasting income.

He asked for his rags to be played slowly. The Entertainer followed in 1902.`;

// The pictures of the documentation, of a server with documents in `default`.
tries.pictures = async () => {
  const viewport = { width: 1120, height: 760 };
  const picture = (page, name) => page.screenshot({ path: join(folder, `${name}.png`) });
  await browse(ADMIN_SERVER, async (page) => {
    await entered(page);
    await page.locator(".tile").first().waitFor();
    await picture(page, "overview");
    await page.goto(`${ADMIN_SERVER}/console/#/documents/default`);
    await page.getByRole("region", { name: "Documents of default" }).getByRole("link", { name: "SECURITY.md" }).click();
    await page.getByRole("button", { name: "Passage 2", exact: true }).click();
    await page.evaluate(() => scrollTo(0, 0));
    await picture(page, "document");
    await go(page, "Keys");
    await page.getByRole("button", { name: /Revoke/ }).first().waitFor();
    await picture(page, "keys");
    await go(page, "Handler");
    await page.getByRole("region", { name: "History" }).waitFor();
    await picture(page, "handler");
  }, { viewport });
  await api("POST", "/v1/collections", { name: "rags" });
  await api("PUT", "/v1/collections/rags/documents/joplin", { title: "Scott Joplin", text: JOPLIN });
  await browse(SERVER, async (page) => {
    await page.goto(SERVER);
    await page.locator("#key").fill(KEY);
    await page.locator("#key").press("Tab");
    await page.locator("#collection option", { hasText: "rags" }).waitFor({ state: "attached" });
    await page.locator("#collection").selectOption("rags");
    for (const question of ["Who wrote the Maple Leaf Rag?", "When did he write it?"]) {
      await page.locator("#query").fill(question);
      await page.getByRole("button", { name: "Ask" }).click();
      await page.locator("#ask-said", { hasText: "ms" }).waitFor();
      await page.locator("#sources mark").first().waitFor();
    }
    await page.locator(".turns .ragtime").last().locator(".cites button").first().click();
    await page.locator("mark.on").waitFor();
    await page.evaluate(() => scrollTo(0, 0));
    await picture(page, "playground");
  }, { viewport, colorScheme: "dark" });
};

await tries[what]();
