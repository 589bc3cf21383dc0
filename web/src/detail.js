// One recording: player, name, tags, notes, and what can be done with it.

import { failed } from "./again.js";
import { get, patch, post, remove } from "./api.js";
import { confirmed, h, icon, say } from "./dom.js";
import { markers } from "./markers.js";
import { player } from "./player.js";
import { shares } from "./shares.js";
import { bytes, clock, date, t } from "./words.js";

/**
 * Show `recording`. `act` is told what became of it: "changed" with the new one, "gone" from this shelf, "returned" to
 * it after all, "back".
 */
export function detail(recording, act) {
  const trashed = Boolean(recording.trashed_at);
  const listen = recording.status === "uploading" ? null : player(recording, (at) => marks.add(at));

  const marks = markers(recording, listen);
  const sharing = listen && !trashed ? shares(recording, listen, () => shareButton.focus()) : null;
  const shareButton = h("button", { class: "quiet", onclick: () => sharing.open() }, icon("share"), t("share"));

  async function edit(values) {
    try {
      recording = await patch(`recordings/${recording.id}/`, values);
      act("changed", recording);
      return true;
    } catch (error) {
      say(error.message, true);
      return false;
    }
  }

  const name = h("input", {
    class: "title",
    "aria-label": t("name"),
    value: recording.name,
    maxlength: "255",
    onchange: async () => {
      const value = name.value.trim();
      if (!value || !(await edit({ name: value }))) name.value = recording.name;
    },
    onkeydown: (event) => event.key === "Enter" && name.blur(),
  });
  const notes = h("textarea", {
    "aria-label": t("notes"),
    placeholder: t("notes_hint"),
    maxlength: "4000",
    rows: "4",
    onchange: () => edit({ notes: notes.value }),
  });
  notes.value = recording.notes;
  const heart = h("button", { class: "quiet icon-only", "aria-label": t("favorite"), onclick: favor });
  const tags = h("div", { class: "tags" });

  function showHeart() {
    heart.setAttribute("aria-pressed", String(recording.favorite));
    heart.replaceChildren(icon("heart", recording.favorite));
  }

  async function favor() {
    await edit({ favorite: !recording.favorite });
    showHeart();
  }

  function showTags() {
    const field = h("input", {
      class: "tag-field",
      "aria-label": t("add_tag"),
      placeholder: t("add_tag"),
      maxlength: "50",
      onkeydown: async (event) => {
        const value = field.value.trim();
        if (event.key !== "Enter" || !value || !(await edit({ tags: [...recording.tags, value] }))) return;
        showTags();
        tags.querySelector("input").focus();
      },
    });
    const drop = async (tag) => (await edit({ tags: recording.tags.filter((each) => each !== tag) })) && showTags();
    tags.replaceChildren(
      ...recording.tags.map((tag) =>
        h(
          "button",
          { class: "tag", "aria-label": t("remove_tag", tag), onclick: () => drop(tag) },
          tag,
          h("span", { "aria-hidden": "true" }, "×"),
        ),
      ),
      field,
    );
  }

  async function toTrash() {
    await remove(`recordings/${recording.id}/`);
    say(t("trashed"), false, [t("undo"), guarded(undo)]);
    act("gone", recording);
  }

  async function undo() {
    act("returned", await post(`recordings/${recording.id}/restore/`));
    say(t("restored"));
  }

  async function restore() {
    await post(`recordings/${recording.id}/restore/`);
    say(t("restored"));
    act("gone", recording);
  }

  async function purge() {
    if (!(await confirmed(t("purge_question", recording.name), t("yes_delete"), t("cancel")))) return;
    await remove(`recordings/${recording.id}/?permanent=true`);
    say(t("purged"));
    act("gone", recording);
  }

  async function download() {
    const { url } = await get(`recordings/${recording.id}/download/?redirect=false`);
    h("a", { href: url, download: "" }).click();
  }

  const guarded = (work) => () => work().catch(failed);
  const button = (name, words, work, kind = "quiet") =>
    h("button", { class: kind, onclick: guarded(work) }, icon(name), t(words));

  const facts = [
    date(recording.recorded_at),
    recording.duration === null ? null : clock(recording.duration),
    bytes(recording.size),
    recording.codec,
    recording.sample_rate && `${recording.sample_rate / 1000} kHz`,
  ];
  showTags();
  showHeart();
  return {
    id: recording.id,
    press: listen?.press ?? (() => {}),
    element: h(
      "article",
      { class: "detail" },
      h(
        "div",
        { class: "row" },
        h(
          "button",
          { class: "quiet icon-only only-narrow", "aria-label": t("back"), onclick: () => act("back", recording) },
          icon("back"),
        ),
        name,
        heart,
      ),
      h("p", { class: "quiet-text" }, facts.filter(Boolean).join(" · ")),
      safety(recording),
      listen?.element,
      listen && h("p", { class: "quiet-text only-wide" }, t("shortcuts")),
      sharing?.element,
      listen && marks.element,
      h("h2", {}, t("tags")),
      tags,
      h("h2", {}, t("notes")),
      notes,
      h(
        "div",
        { class: "row actions" },
        sharing && shareButton,
        button("download", "download", download),
        trashed ? button("restore", "restore", restore) : button("trash", "to_trash", toTrash),
        trashed && button("trash", "purge", purge, "danger"),
      ),
    ),
  };
}

/** Whether the copy on this device may go. */
export function safety(recording) {
  if (recording.status === "mismatch") return h("p", { class: "wrong" }, t("mismatch"));
  if (!recording.verified_at) return h("p", { class: "quiet-text" }, t("checking"));
  return h("p", { class: "safe" }, icon("check"), t("safe"));
}
