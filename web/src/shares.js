// The dialog that shares one recording: make a link, see which there are, revoke them. It stands beside the player and
// not above it, since the player is where a part of the recording is found.

import { failed } from "./again.js";
import { get, post, remove } from "./api.js";
import { confirmed, h, icon, say } from "./dom.js";
import { once } from "./once.js";
import { clock, date, exact, seconds, t } from "./words.js";

const DAYS = { day: 1, week: 7, month: 30, year: 365 };
const AGAIN = 3000; // ms until links whose part is being cut are looked up again

/** The dialog for `recording`, closed. `listen` is its player. `closed` is called when it has been closed. */
export function shares(recording, listen, closed) {
  const path = `recordings/${recording.id}/shares/`;
  const expiry = h(
    "select",
    {},
    Object.keys(DAYS).map((name) => h("option", { value: name, selected: name === "week" }, t(`for_${name}`))),
  );
  const password = h("input", { minlength: "8", maxlength: "128", autocomplete: "off", spellcheck: "false" });
  const invent = h("input", {
    type: "checkbox",
    onchange: () => {
      password.disabled = invent.checked;
      password.value = "";
    },
  });
  const from = moment("part_from", "from_here");
  const to = moment("part_to", "to_here");
  const begin = h("input", { type: "checkbox" });
  const position = h("span", {});
  const part = h("input", { type: "checkbox", onchange: () => (range.hidden = !part.checked) });
  const range = h("div", { class: "row range", hidden: true }, from.element, to.element);
  const made = h("div", { "aria-live": "polite" });
  const list = h("ul", { class: "list links" });
  const submit = h("button", { class: "primary" }, icon("link"), t("make_link"));

  const dialog = h(
    "dialog",
    {
      class: "share",
      "aria-labelledby": "share-title",
      onclose: closed,
      onkeydown: (event) => {
        if (event.key !== "Escape") return;
        event.stopPropagation();
        dialog.close();
      },
    },
    h(
      "div",
      { class: "head" },
      h("h2", { id: "share-title", tabIndex: -1 }, t("share")),
      h(
        "button",
        { class: "quiet icon-only", type: "button", "aria-label": t("close_dialog"), onclick: () => dialog.close() },
        icon("cross"),
      ),
    ),
    h("p", { class: "quiet-text" }, t("share_text")),
    h(
      "form",
      { onsubmit: make },
      h("div", { class: "fields" }, field(t("works_for"), expiry), field(t("password"), password, t("optional"))),
      h("label", { class: "check" }, invent, t("choose_one")),
      h("label", { class: "check" }, begin, position),
      h("label", { class: "check" }, part, t("only_part")),
      range,
      submit,
    ),
    made,
    h("h3", {}, t("links")),
    list,
  );

  /** A field for a moment of the recording, and a button that takes it from the player. */
  function moment(label, button) {
    const input = h("input", {
      "aria-label": t(label),
      size: "7",
      inputmode: "decimal",
      oninput: () => input.setCustomValidity(""),
    });
    const here = h(
      "button",
      { class: "quiet", type: "button", onclick: () => set(listen.at()) },
      icon("flag"),
      t(button),
    );
    const set = (at) => {
      input.value = exact(at);
      input.setCustomValidity("");
    };
    return {
      element: h("span", { class: "moment" }, h("span", { "aria-hidden": "true" }, t(label)), input, here),
      input,
      set,
    };
  }

  /** What the form says, as the API takes it. null where something in it is no moment. */
  function wanted() {
    const values = { expires_at: new Date(Date.now() + DAYS[expiry.value] * 86_400_000).toISOString() };
    if (invent.checked) values.generate_password = true;
    else if (password.value) values.password = password.value;
    if (begin.checked) values.at = listen.at();
    if (!part.checked) return values;
    for (const [name, { input }] of Object.entries({ start: from, end: to })) {
      values[name] = seconds(input.value);
      if (values[name] !== null && (name === "start" || values.end > values.start)) continue;
      input.setCustomValidity(t(values[name] === null ? "no_moment" : "end_first"));
      input.reportValidity();
      return null;
    }
    if (values.at !== undefined && !(values.start <= values.at && values.at < values.end)) delete values.at;
    return values;
  }

  async function make(event) {
    event.preventDefault();
    const values = wanted();
    if (!values) return;
    submit.disabled = true;
    made.replaceChildren();
    try {
      const share = await post(path, values);
      made.replaceChildren(once(share.url, t("link")));
      if (share.password)
        made.append(h("p", { class: "told" }, `${t("password")}: `, h("strong", {}, share.password)));
      made.querySelector(".primary").focus();
      password.value = "";
      password.disabled = invent.checked = false;
      await load();
    } catch (error) {
      failed(error);
    } finally {
      submit.disabled = false;
    }
  }

  async function load() {
    const { results } = await get(path);
    if (!dialog.open) return;
    list.replaceChildren(
      ...(results.length ? results.toReversed().map(item) : [h("li", { class: "quiet-text" }, t("no_links"))]),
    );
    if (results.some((share) => share.status === "preparing"))
      setTimeout(() => dialog.open && dialog.isConnected && load().catch(() => {}), AGAIN);
  }

  function item(share) {
    const about = [
      share.start === null ? null : t("part", exact(share.start), exact(share.end)),
      share.at === null ? null : t("from", exact(share.at)),
      share.has_password && t("with_password"),
      share.status === "preparing" && t("preparing"),
      share.status === "failed" && t("cut_failed"),
    ];
    const revoke = async () => {
      if (!(await confirmed(t("revoke_question"), t("revoke"), t("cancel")))) return;
      await remove(`${path}${share.id}/`).catch((error) => say(error.message, true));
      made.replaceChildren(); // the link above may be the one that is worth nothing now
      await load();
      dialog.querySelector("h2").focus();
    };
    return h(
      "li",
      {},
      h(
        "span",
        { class: "about" },
        h("span", {}, t("until", date(share.expires_at))),
        h("span", { class: "quiet-text" }, about.filter(Boolean).join(" · ")),
      ),
      h(
        "button",
        { class: "quiet", type: "button", "aria-label": t("revoke_until", date(share.expires_at)), onclick: revoke },
        t("revoke"),
      ),
    );
  }

  function open() {
    const length = recording.duration ?? listen.length();
    from.set(Math.min(listen.at(), Math.max(0, length - 1)));
    to.set(length);
    position.textContent = t("begin_at", clock(listen.at()));
    begin.checked = false;
    made.replaceChildren();
    dialog.show();
    dialog.querySelector("h2").focus();
    dialog.scrollIntoView({ block: "nearest" });
    load().catch((error) => say(error.message, true));
  }

  listen.moved(() => (position.textContent = t("begin_at", clock(listen.at()))));
  return { element: dialog, open };
}

/** A control with its words, and what else there is to say of it. */
export function field(label, control, hint) {
  return h(
    "label",
    { class: "field" },
    h("span", {}, label, hint && h("span", { class: "quiet-text" }, ` ${hint}`)),
    control,
  );
}
