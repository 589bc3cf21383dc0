// The podcast feeds of the account: make one, see which there are, delete them.

import { failed } from "./again.js";
import { get, post, remove } from "./api.js";
import { confirmed, h, icon, say } from "./dom.js";
import { once } from "./once.js";
import { field } from "./shares.js";
import { date, t } from "./words.js";

/** The section of the account page. It fills itself. */
export function feeds() {
  const tag = h("input", { maxlength: "50", autocomplete: "off" });
  const title = h("input", { maxlength: "100", autocomplete: "off" });
  const made = h("div", { "aria-live": "polite" });
  const list = h("ul", { class: "list links" });

  async function make(event) {
    event.preventDefault();
    const values = Object.entries({ tag, title }).map(([name, input]) => [name, input.value.trim()]);
    try {
      const feed = await post("accounts/feeds/", Object.fromEntries(values.filter(([, value]) => value)));
      made.replaceChildren(once(feed.url, t("feed_address")));
      made.querySelector(".primary").focus();
      tag.value = title.value = "";
      await load();
    } catch (error) {
      failed(error);
    }
  }

  async function load() {
    const { results } = await get("accounts/feeds/");
    list.replaceChildren(...results.map(item));
  }

  function item(feed) {
    const forget = async () => {
      if (!(await confirmed(t("delete_feed_question", feed.title), t("yes_delete"), t("cancel")))) return;
      await remove(`accounts/feeds/${feed.id}/`).catch((error) => say(error.message, true));
      made.replaceChildren(); // the address above may be the one that is worth nothing now
      await load();
      tag.focus();
    };
    const about = [feed.tag ? t("feed_tag", feed.tag) : t("feed_all"), date(feed.created_at)].join(" · ");
    return h(
      "li",
      {},
      h(
        "span",
        { class: "about" },
        h("span", { class: "name" }, feed.title),
        h("span", { class: "quiet-text" }, about),
      ),
      h(
        "button",
        { class: "quiet", "aria-label": t("delete_feed", feed.title), onclick: forget },
        icon("trash"),
        t("yes_delete"),
      ),
    );
  }

  load().catch((error) => say(error.message, true));
  return h(
    "section",
    {},
    h("h3", {}, t("feeds")),
    h("p", { class: "quiet-text" }, t("feeds_text")),
    list,
    made,
    h(
      "form",
      { class: "fields", onsubmit: make },
      field(t("feed_only_tag"), tag, t("optional")),
      field(t("feed_title"), title, t("optional")),
      h("button", { class: "quiet" }, icon("plus"), t("make_feed")),
    ),
  );
}
