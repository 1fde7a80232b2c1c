// The pages of the handler in headless Chromium: the playground as a conversation, and
// the API as a page. The argument is a folder to work in.

import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { accessible, api, assert, browse, DESKTOP, KEY, PHONE, SERVER, until } from "./page.mjs";

const [folder] = process.argv.slice(2);

const HOSTILE = "<img src=x onerror=alert(1)> Ragtime was born in Missouri.\n\n<script>alert(2)</script>";

const answer = (page, text) => page.locator(".turns .ragtime").last().locator(".says", { hasText: text }).waitFor();

async function ask(page, question) {
  await page.locator("#query").fill(question);
  await page.getByRole("button", { name: "Ask" }).click();
}

// Runs the lines that the page shows, as somebody who has copied them would.
function run(name, lines) {
  const programs = { curl: ["bash", ["-c"]], python: ["python3", ["-c"]], javascript: [process.execPath, ["--input-type=module", "-e"]] };
  const [program, flags] = programs[name];
  const env = { ...process.env, RAGTIME_KEY: KEY };
  return execFileSync(program, [...flags, lines], { cwd: folder, env, encoding: "utf8" });
}

async function lines(page, name) {
  const shown = await page.locator(`#snippet-${name}`).textContent();
  assert.ok(!shown.includes(KEY), "the key is in lines that are to be copied");
  return shown;
}

async function conversation(page) {
  await page.goto(SERVER);
  await until("the server's generators are offered", async () => (await page.locator("#generator option").count()) > 0);
  await page.locator("#key").fill(KEY);
  await page.locator("#key").press("Tab");

  // Files by choice and by drag and drop, and a text that is typed.
  await page.locator("#files").setInputFiles([{ name: "born.txt", mimeType: "text/plain", buffer: Buffer.from(HOSTILE) }]);
  await page.locator("#uploads li", { hasText: "born.txt" }).getByText("added").waitFor();
  writeFileSync(join(folder, "born.txt"), HOSTILE);
  for (const name of ["curl", "python", "javascript"]) {
    const answer = JSON.parse(run(name, await lines(page, name)));
    assert.equal(answer.id, "born.txt");
  }
  const dropped = await page.evaluateHandle(() => {
    const data = new DataTransfer();
    data.items.add(new File(["Der Ragtime ist ein Musikstil, der um 1890 in den Vereinigten Staaten entstanden ist."], "stil.txt", { type: "text/plain" }));
    return data;
  });
  await page.dispatchEvent("#drop", "drop", { dataTransfer: dropped });
  await page.locator("#uploads li", { hasText: "stil.txt" }).getByText("added").waitFor();
  await page.getByText("Or type a text").click();
  await page.locator("#id").fill("typed");
  await page.locator("#text").fill("Joplin's grandmother played the banjo.");
  await page.getByRole("button", { name: "Put in" }).click();
  await page.locator("#put-said", { hasText: "Added" }).waitFor();
  assert.equal((await api("GET", "/v1/collections/default/documents/typed")).status, 200);

  // An answer that streams, its quotes, and where they stand.
  await ask(page, "Who wrote the Maple Leaf Rag?");
  await answer(page, "Scott Joplin");
  const quote = page.locator(".cites button", { hasText: "Scott Joplin wrote the Maple Leaf Rag in 1899." });
  await quote.click();
  await page.locator("mark.on", { hasText: "Scott Joplin wrote the Maple Leaf Rag in 1899." }).waitFor();
  assert.match(await page.locator("#quota").textContent(), /budget left/);
  const asked = [];
  page.on("request", (request) => request.url().endsWith("/chat/completions") && asked.push(request.postDataJSON()));

  // A follow-up is understood by what was said before.
  await ask(page, "When did he write it?");
  await answer(page, "1899");
  assert.deepEqual(asked[0].messages.map(({ role }) => role), ["user", "assistant", "user"]);
  assert.equal(await page.locator(".turns > li").count(), 4);
  for (const name of ["curl", "python", "javascript"]) {
    assert.match(run(name, await lines(page, name)), /1899[\s\S]*\[DONE\]/, name);
  }

  // A document's text is text, wherever it is shown.
  await page.getByRole("button", { name: "Begin anew" }).click();
  assert.equal(await page.locator(".turns > li").count(), 0);
  await page.locator("#query").fill("Where was Ragtime born?");
  await page.locator("#query").press("Enter");
  await answer(page, "Missouri");
  await page.locator("#sources", { hasText: "onerror=alert(1)" }).waitFor();
  assert.equal(await page.locator("main img, main script").count(), 0);

  // Who answers, and from sources of which language.
  await page.getByRole("button", { name: "Begin anew" }).click();
  await page.getByLabel("Answered by").selectOption("extractive");
  await page.getByLabel("Sources in").selectOption({ label: "German" });
  await ask(page, "Was ist Ragtime?");
  await answer(page, "Musikstil");
  assert.deepEqual([asked.at(-1).generator, asked.at(-1).filter], ["extractive", { $language: { in: ["de"] } }]);
  await page.locator("#sources h3", { hasText: "stil.txt" }).waitFor();
  const sources = await page.locator("#sources h3").allTextContents();
  for (const id of sources) {
    assert.equal((await api("GET", `/v1/collections/default/documents/${id}`)).body.language, "de", id);
  }

  // What goes wrong is said.
  await page.locator("#key").fill("rt_wrong");
  await ask(page, "Who?");
  await page.locator("#ask-said.bad").waitFor();
  await page.locator("#key").fill(KEY);
}

async function docs(page) {
  await page.goto(`${SERVER}/docs`);
  await page.locator("#search > summary").click();
  await page.locator("#search textarea").fill('{"query": "Maple Leaf Rag"}');
  await page.locator("#search button").click();
  await page.locator("#search form pre", { hasText: '"document_id": "joplin"' }).waitFor();
}

async function inEveryForm() {
  for (const viewport of [DESKTOP, PHONE]) {
    for (const colorScheme of ["light", "dark"]) {
      await browse(SERVER, async (page) => {
        await page.goto(SERVER);
        await page.locator("#key").fill(KEY);
        await ask(page, "Who wrote the Maple Leaf Rag?");
        await page.locator("#sources mark").first().waitFor();
        await accessible(page, `the playground, ${colorScheme}, ${viewport.width}`);
      }, { viewport, colorScheme });
    }
  }
}

await api("PUT", "/v1/collections/default/documents/joplin", { text: "Scott Joplin wrote the Maple Leaf Rag in 1899. Its left hand keeps a steady march." });
await browse(SERVER, async (page) => {
  await conversation(page);
  await docs(page);
});
await inEveryForm();
