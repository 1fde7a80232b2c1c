// The frame of the console: signing in, the pages, and which of them is shown.

import { el, fill, find, form, say } from "./dom.js";
import { on, onEnd, signedIn, signIn, signOut } from "./session.js";
import * as documents from "./documents.js";
import * as fleet from "./fleet.js";
import * as handler from "./handler.js";
import * as jobs from "./jobs.js";
import * as keys from "./keys.js";
import * as overview from "./overview.js";
import * as requests from "./requests.js";
import * as settings from "./settings.js";

const PAGES = [
  ["", "Overview", overview],
  ["documents", "Documents", documents],
  ["jobs", "Jobs", jobs],
  ["keys", "Keys", keys],
  ["handler", "Handler", handler],
  ["fleet", "Fleet", fleet],
  ["requests", "Requests", requests],
  ["settings", "Settings", settings],
];

// What a page follows is let go when another one is shown.
let leave = [];
// The page that is being shown: what an earlier one still waits for is not shown.
let turn = 0;

function parts() {
  try {
    return location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  } catch {
    // An address that somebody has typed wrongly.
    return [""];
  }
}

// The address of a page within the console.
const address = (name) => `#/${name}`;

function navigation() {
  const [shown] = parts();
  fill(find("nav"), el("ul", {}, PAGES.map(([name, title]) =>
    el("li", {}, el("a", { href: address(name), "aria-current": name === shown ? "page" : undefined }, title)))));
}

async function show() {
  if (!signedIn()) return welcome();
  leave.forEach((stop) => stop());
  leave = [];
  turn += 1;
  const mine = turn;
  const [name, ...rest] = parts();
  const [, title, page] = PAGES.find(([known]) => known === name) ?? PAGES[0];
  document.title = `${title} · Ragtime console`;
  navigation();
  const view = el("div", { class: "view" }, el("h1", {}, title));
  fill(find("main"), view);
  // A page that was left while it waited follows nothing any more.
  const follow = (topic, work) => mine === turn && leave.push(on(topic, work));
  try {
    await page.show(view, { follow, rest, isShown: () => mine === turn });
  } catch (error) {
    if (mine === turn && signedIn()) view.append(el("p", { class: "bad", role: "alert" }, error.message));
  }
}

function welcome(why) {
  find("nav").hidden = true;
  find("session").hidden = true;
  document.title = "Sign in · Ragtime console";
  const input = el("input", { name: "key", type: "password", autocomplete: "off", spellcheck: false,
    required: true, placeholder: "rt_…", "aria-describedby": "key-hint" });
  const wrong = el("p", { class: "bad", role: "alert" }, why);
  const begin = form(async () => {
    wrong.textContent = "";
    try {
      await signIn(input.value.trim());
    } catch (error) {
      wrong.textContent = error.message;
      input.select();
      return;
    }
    input.value = "";
    entered();
  }, "Sign in", el("label", { class: "field" }, el("span", {}, "Key"), input));
  fill(find("main"), el("section", { class: "card welcome" },
    el("h1", {}, "Sign in"),
    el("p", { class: "soft", id: "key-hint" }, "With a key that has the scope admin. It stays in the memory of this tab, and is gone when the tab is closed or loaded again."),
    begin, wrong));
  input.focus();
}

function entered() {
  find("nav").hidden = false;
  find("session").hidden = false;
  on("live", (state) => {
    const live = find("live");
    live.textContent = state;
    live.className = `pill ${state === "live" ? "good" : "warn"}`;
  });
  show().then(() => find("main").focus({ preventScroll: true }));
}

onEnd((why) => {
  leave.forEach((stop) => stop());
  leave = [];
  turn += 1;
  document.querySelectorAll("dialog").forEach((open) => open.remove());
  welcome(why);
});

find("sign-out").addEventListener("click", () => {
  signOut();
  say("Signed out.");
});
find("skip").addEventListener("click", (event) => {
  event.preventDefault();
  find("main").focus();
});
addEventListener("hashchange", async () => {
  await show();
  if (signedIn()) find("main").focus({ preventScroll: true });
});
welcome();
