// The markers of a recording: to jump to, to name, to take away, to give to other programs.

import { get, patch } from "./api.js";
import { h, icon, say } from "./dom.js";
import { clock, t } from "./words.js";

export function markers(recording, listen) {
  const list = h("ul", { class: "markers" });
  const add = h(
    "button",
    { class: "quiet", disabled: true, onclick: () => mark(listen.at()) },
    icon("flag"),
    t("mark"),
  );
  const exported = ["webvtt", "audacity"].map((form) =>
    h(
      "a",
      {
        class: "quiet-text",
        download: `${recording.name}.${form === "webvtt" ? "vtt" : "txt"}`,
        href: `/api/v1/recordings/${recording.id}/markers/?as=${form}`,
      },
      form === "webvtt" ? "WebVTT" : "Audacity",
    ),
  );
  let known = null;
  let writing = Promise.resolve();

  /** Save what `now` is to be; what can't be saved is shown as it was. One after the other: each says all there is. */
  async function save(now) {
    const before = known;
    const wanted = now.sort((a, b) => a.at - b.at);
    known = wanted;
    show();
    const saved = writing.then(() => patch(`recordings/${recording.id}/`, { markers: wanted }));
    writing = saved.catch(() => {});
    try {
      await saved;
    } catch (error) {
      if (known === wanted) known = before;
      show();
      say(error.message, true);
    }
  }

  function mark(at) {
    if (known && known.length < 200)
      save([...known, { at: Math.round(at * 1000) / 1000, label: t("marker", known.length + 1) }]);
  }

  function item(marker) {
    const moment = clock(marker.at);
    const label = h("input", {
      value: marker.label,
      maxlength: "100",
      "aria-label": t("marker_label", moment),
      onchange: () => {
        const value = label.value.trim();
        if (value) save(known.map((each) => (each === marker ? { ...marker, label: value } : each)));
        else label.value = marker.label;
      },
    });
    const others = () => known.filter((each) => each !== marker);
    return h(
      "li",
      {},
      h(
        "button",
        { class: "quiet at", "aria-label": t("go_to", moment), onclick: () => listen.seek(marker.at) },
        moment,
      ),
      label,
      h(
        "button",
        { class: "quiet icon-only", "aria-label": t("remove_marker", moment), onclick: () => save(others()) },
        icon("trash"),
      ),
    );
  }

  function show() {
    list.replaceChildren(...known.map(item));
    for (const link of exported) link.hidden = !known.length;
    add.disabled = false;
  }

  get(`recordings/${recording.id}/`).then(
    (full) => {
      known = full.markers;
      show();
    },
    () => {},
  );
  for (const link of exported) link.hidden = true;
  return {
    add: mark,
    element: h("section", {}, h("div", { class: "head" }, h("h2", {}, t("markers")), exported, add), list),
  };
}
