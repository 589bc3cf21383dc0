// Devices, storage, export, leaving.

import { failed } from "./again.js";
import { get, remove } from "./api.js";
import { confirmed, h, say } from "./dom.js";
import { feeds } from "./feeds.js";
import { logins } from "./logins.js";
import * as store from "./store.js";
import { bytes, choose, date, language, languages, t } from "./words.js";

export async function account(place) {
  const again = () => account(place);
  const [me, devices, opening] = await Promise.all([get("accounts/me/"), get("accounts/sessions/"), logins(again)]);
  const guarded = (work) => () => work().catch(failed);

  const drop = async (path) => {
    await remove(path);
    return again();
  };
  const end = (session) => guarded(() => drop(`accounts/sessions/${session.session_id}/`));
  const endOthers = guarded(() => drop("accounts/sessions/?scope=others"));
  const close = guarded(async () => {
    if (!(await confirmed(t("close_question"), t("yes_delete"), t("cancel")))) return;
    await remove("accounts/me/");
    location.assign("/");
  });

  place.replaceChildren(
    h(
      "div",
      { class: "account" },
      h("h2", {}, t("account")),
      usage(me),
      me.is_guest && h("p", { class: "card" }, t("guest")),
      opening,
      feeds(),
      h("h3", {}, t("devices")),
      h(
        "ul",
        { class: "list devices" },
        devices.results.map((session) =>
          h(
            "li",
            {},
            h("span", { class: "name" }, session.device_name || "–"),
            h(
              "span",
              { class: "quiet-text" },
              session.current ? t("this_device") : t("seen", date(session.last_seen_at)),
            ),
            !session.current && h("button", { class: "quiet", onclick: end(session) }, t("sign_out_device")),
          ),
        ),
      ),
      devices.results.length > 1 && h("button", { class: "quiet", onclick: endOthers }, t("sign_out_others")),
      h("h3", {}, t("language")),
      h(
        "select",
        { "aria-label": t("language"), onchange: (event) => choose(event.target.value) },
        Object.entries(languages).map(([code, name]) =>
          h("option", { value: code, selected: code === language }, name),
        ),
      ),
      h("h3", {}, t("export")),
      h("p", { class: "quiet-text" }, t("export_text")),
      h("button", { class: "quiet", onclick: guarded(exportAll) }, t("export")),
      h("h3", {}, t("sign_out")),
      h("button", { class: "quiet", onclick: guarded(signOut) }, t("sign_out")),
      h("h3", {}, t("close")),
      h("p", { class: "quiet-text" }, t("close_text")),
      h("button", { class: "danger", onclick: close }, t("close")),
      h("p", { class: "quiet-text" }, h("a", { href: "/api/v1/docs/" }, t("api"))),
    ),
  );
}

export function usage(me) {
  const text = t("used", bytes(me.used_bytes), bytes(me.quota_bytes));
  return h(
    "div",
    { class: "usage" },
    h("meter", { max: me.quota_bytes, value: me.used_bytes, high: me.quota_bytes * 0.9, "aria-label": text }),
    h("span", { class: "quiet-text" }, text),
  );
}

async function exportAll() {
  const pages = [];
  for (let cursor = ""; cursor !== null; ) {
    const page = await get(`accounts/me/export/?cursor=${encodeURIComponent(cursor)}`);
    pages.push(page);
    cursor = page.next_cursor;
  }
  const all = { account: pages[0].account, recordings: pages.flatMap((page) => page.recordings) };
  const url = URL.createObjectURL(new Blob([JSON.stringify(all, null, 2)], { type: "application/json" }));
  h("a", { href: url, download: "recorder.json" }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
  say(t("export_done"));
}

/** Sign out; where that gives something up, only after asking. */
async function signOut() {
  const [takes, me] = await Promise.all([store.all(), get("accounts/me/")]);
  const here = takes.filter((take) => take.state !== "sent").length;
  const question = here ? [t("sign_out_takes", here)] : [];
  if (me.is_guest) question.push(t("sign_out_guest"));
  else if (here) question.push(t("sign_out_later"));
  if (question.length && !(await confirmed(question.join(" "), t("sign_out"), t("cancel")))) return;
  for (const name of await caches.keys()) await caches.delete(name);
  document.getElementById("sign-out").submit();
}
