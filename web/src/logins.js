// The logins that open the account, and the way to one more.

import { failed } from "./again.js";
import { get, remove } from "./api.js";
import { confirmed, h } from "./dom.js";
import { t } from "./words.js";

/** The section of the account page; nothing where there is no login and none can be had. `again` shows the page anew. */
export async function logins(again) {
  const [{ results }, providers] = await Promise.all([get("accounts/identities/"), get("accounts/providers/")]);
  const offered = providers.some((provider) => provider.web_login);
  if (!results.length && !offered) return null;
  const names = Object.fromEntries(providers.map((each) => [each.provider, each.display_name]));
  const called = (provider) => names[provider] ?? provider; // one that is off by now has its name alone

  const unlink = async (identity) => {
    if (!(await confirmed(t("unlink_question", called(identity.provider)), t("unlink"), t("cancel")))) return;
    await remove(`accounts/identities/${identity.id}/`).then(again, failed);
  };
  return h(
    "section",
    {},
    h("h3", {}, t("logins")),
    h(
      "ul",
      { class: "list links" },
      results.map((identity) =>
        h(
          "li",
          {},
          h(
            "span",
            { class: "about" },
            h("span", { class: "name" }, called(identity.provider)),
            h("span", { class: "quiet-text" }, identity.email ?? ""),
          ),
          results.length > 1 &&
            h(
              "button",
              {
                class: "quiet",
                "aria-label": `${t("unlink")}: ${called(identity.provider)}`,
                onclick: () => unlink(identity),
              },
              t("unlink"),
            ),
        ),
      ),
    ),
    offered &&
      h(
        "a",
        {
          class: "button",
          href: `/login/?link=1&account=${document.body.dataset.account}&next=${encodeURIComponent("/#/account")}`,
        },
        t("link_login"),
      ),
  );
}
