// An address that is shown this once: to copy, or on a phone to send.

import { h, icon, say } from "./dom.js";
import { t } from "./words.js";

export function once(url, label) {
  const field = h("input", {
    class: "url",
    readOnly: true,
    value: url,
    "aria-label": label,
    onfocus: () => field.select(),
  });

  async function copy() {
    try {
      await navigator.clipboard.writeText(url);
    } catch {
      field.select(); // where the clipboard is out of reach, what is selected can be copied by hand
      return say(t("copy_by_hand"), true);
    }
    say(t("copied"));
  }

  return h(
    "div",
    { class: "card once" },
    h("p", {}, t("shown_once")),
    h(
      "div",
      { class: "row" },
      field,
      h("button", { class: "primary", type: "button", onclick: copy }, icon("copy"), t("copy")),
      navigator.share &&
        h(
          "button",
          { class: "quiet", type: "button", onclick: () => navigator.share({ url }).catch(() => {}) },
          icon("share"),
          t("send"),
        ),
    ),
  );
}
