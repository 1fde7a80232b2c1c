// Keys: made, limited, rotated, revoked, and what each has spent.

import { action, code, dialog, el, field, form, number, pill, redraw, row, say, sure, table, when } from "./dom.js";
import { adopt, call } from "./session.js";

const SCOPES = ["read", "write", "admin"];

const path = (id) => `/v1/keys/${encodeURIComponent(id)}`;

// The one sight of a credential.
function reveal(title, credential) {
  const shown = el("input", { readOnly: true, value: credential, "aria-label": "Credential", class: "mono" });
  const copied = el("span", { role: "status", class: "soft" });
  const copy = action("Copy", async () => {
    shown.select();
    await navigator.clipboard?.writeText(credential);
    copied.textContent = "Copied.";
  }, { class: "primary" });
  return dialog(title, [el("p", {}, "It is shown this once; the server keeps a digest of it alone."),
    el("p", { class: "row" }, shown, copy, copied)], [{ text: "I have it", value: true }]);
}

function limits(key) {
  const input = (name, value, least) => el("input", { name, type: "number", min: least, value: value ?? "" });
  return { rate: input("rate_per_minute", key?.rate_per_minute, 1), burst: input("burst", key?.burst, 1) };
}

const given = (input) => (input.value === "" ? undefined : input.valueAsNumber);

export async function show(view, { isShown }) {
  const list = el("div");
  let own = null;

  async function load() {
    const [listed, used, self] = await Promise.all([call("GET", "/v1/keys"), call("GET", "/admin/keys"), call("GET", "/v1/keys/self")]);
    if (!isShown()) return;
    own = self.id;
    const usage = new Map(used.keys.map((one) => [one.id, one]));
    const rows = listed.keys.map((key) => line(key, usage.get(key.id)));
    redraw(list, table("Keys", ["Name", "Scopes", "Collections", "Units per minute, at once", "Spent", "Last used", "Ends", "Acts"], rows, "There are none."));
  }

  function line(key, usage) {
    const act = (text, work, kind) => action(text, () => work(key), { class: kind, "data-focus": `${text} ${key.id}`, "aria-label": `${text} ${key.name}` });
    return row(
      el("th", { scope: "row" }, key.name, " ", key.id === own && pill("this session"), el("div", { class: "soft" }, code(key.id))),
      key.scopes.join(", "), key.collections === null ? "all" : key.collections.join(", "),
      `${number(key.rate_per_minute)}, ${number(key.burst)}`,
      [number(usage?.spent_units), el("div", { class: "soft" }, `${number(usage?.remaining_units)} left, ${number(usage?.in_flight)} at work`)],
      when(key.last_used_at), key.expires_at === null ? "never" : when(key.expires_at),
      el("div", { class: "row" }, act("Limits", change, "quiet"), act("Rotate", rotate, "quiet"), act("Revoke", revoke, "danger")));
  }

  async function change(key) {
    const { rate, burst } = limits(key);
    const wanted = await dialog(`Limits of ${key.name}`, [field("Units per minute", rate), field("Units at once", burst, "A search costs 1, an answer 4.")],
      [{ text: "Cancel", value: false }, { text: "Change", value: true, kind: "primary" }]);
    if (!wanted) return;
    await call("PATCH", path(key.id), { rate_per_minute: given(rate), burst: given(burst) });
    say(`The limits of ${key.name} are changed.`);
    await load();
  }

  async function rotate(key) {
    const grace = el("input", { name: "grace", type: "number", min: 0, value: 3600 });
    const wanted = await dialog(`Rotate ${key.name}`, [el("p", {}, "A new key with the same rights takes its place."),
      field("Seconds for which the old one goes on working", grace)],
    [{ text: "Cancel", value: false }, { text: "Rotate", value: true, kind: "primary" }]);
    if (!wanted) return;
    const made = await call("POST", `${path(key.id)}/rotate`, { grace_seconds: given(grace) ?? 0 });
    if (key.id === own) adopt(made.credential);
    await reveal(`The new key of ${key.name}`, made.credential);
    await load();
  }

  async function revoke(key) {
    const mine = key.id === own ? " It is the key of this session, which ends with it." : "";
    if (!await sure(`Revoke ${key.name}?`, `Requests with it are refused from now on, and its streams end.${mine} This cannot be undone.`, "Revoke key")) return;
    await call("DELETE", path(key.id));
    say(`The key ${key.name} is revoked.`);
    if (key.id !== own) await load();
  }

  const name = el("input", { name: "name", required: true, maxLength: 200, autocomplete: "off" });
  const boxes = SCOPES.map((scope) => el("input", { type: "checkbox", name: scope, checked: scope === "read" }));
  const collections = el("input", { name: "collections", autocomplete: "off", placeholder: "all" });
  const ends = el("input", { name: "ends", type: "datetime-local" });
  const { rate, burst } = limits();
  const make = form(async (_, made) => {
    const names = collections.value.split(",").map((one) => one.trim()).filter(Boolean);
    const key = await call("POST", "/v1/keys", {
      name: name.value, scopes: SCOPES.filter((_scope, index) => boxes[index].checked),
      collections: names.length ? names : undefined,
      expires_at: ends.value ? new Date(ends.value).toISOString() : undefined,
      rate_per_minute: given(rate), burst: given(burst),
    });
    made.reset();
    await reveal(`The key ${key.name}`, key.credential);
    await load();
  }, "Make key",
  field("Name", name),
  el("fieldset", {}, el("legend", {}, "Scopes"), SCOPES.map((scope, index) => el("label", { class: "check" }, boxes[index], ` ${scope}`))),
  field("Collections", collections, "Names with commas between; empty means all."),
  field("Ends", ends, "Empty means never."),
  field("Units per minute", rate, "Empty means the server's default."), field("Units at once", burst));
  view.append(list, el("section", { class: "card" }, el("h2", {}, "A new key"), make));
  await load();
}
