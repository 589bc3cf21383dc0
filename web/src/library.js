// The list: recordings of a shelf, what waits for its upload, search and tags; the chosen one beside it.

import { failed } from "./again.js";
import { get, remove } from "./api.js";
import { detail } from "./detail.js";
import { confirmed, h, icon } from "./dom.js";
import * as recorder from "./recorder.js";
import * as store from "./store.js";
import * as uploads from "./uploads.js";
import { clock, date, t } from "./words.js";

const PAGE = 50;
const LAG = 10_000; // ms for which what was done here counts more than a list, whose index lags behind

export class Library {
  constructor(place) {
    this.place = place;
    this.rows = new Map();
    this.list = h("ul", { class: "list" });
    this.pending = h("ul", { class: "list pending" });
    this.found = h("div", { class: "found" });
    this.more = h("button", { class: "quiet", hidden: true, onclick: () => this.load(true) }, t("more"));
    this.search = h("input", {
      type: "search",
      "aria-label": t("search"),
      placeholder: t("search"),
      oninput: () => this.soon(),
    });
    this.tag = h("select", { "aria-label": t("tags"), onchange: () => this.load() });
    this.empty = h("div", { class: "empty" });
    this.clear = h(
      "button",
      { class: "danger", hidden: true, onclick: () => this.purgeAll() },
      icon("trash"),
      t("purge_all"),
    );
    this.pane = h("div", { class: "pane" });
    this.tags = new Set();
    this.left = new Map(); // "shelf id" → when it left that shelf
    this.known = new Map(); // id → the newest answer about it
    this.element = h(
      "div",
      { class: "library" },
      h(
        "div",
        { class: "column" },
        this.found,
        h("div", { class: "row tools" }, this.search, this.tag),
        this.pending,
        this.list,
        this.empty,
        this.more,
        this.clear,
      ),
      this.pane,
    );
    store.watch(() => this.showPending());
    addEventListener("progress", () => this.showPending());
  }

  async open(view) {
    if (this.view !== view) {
      this.rows = new Map(); // nothing of one shelf is shown as if it were on another
      this.list.replaceChildren();
      this.empty.replaceChildren();
      this.clear.hidden = true;
    }
    this.view = view;
    this.search.value = "";
    this.tag.value = "";
    this.place.replaceChildren(this.element);
    this.choose(null);
    await this.showPending();
    await this.load();
  }

  soon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.load(), 250);
  }

  get shelf() {
    return this.view === "trash" ? "trash" : "library";
  }

  get filters() {
    const query = new URLSearchParams({ shelf: this.shelf, limit: PAGE });
    if (this.search.value.trim()) query.set("search", this.search.value.trim());
    if (this.tag.value) query.set("tag", this.tag.value);
    return query;
  }

  /** Read a page; with `on` the next one. An answer that a newer question has overtaken is dropped. */
  async load(on = false) {
    const asked = Symbol("question");
    this.asked = asked;
    const query = this.filters;
    if (on) query.set("cursor", this.cursor);
    let page;
    try {
      page = await get(`recordings/?${query}`);
    } catch {
      if (asked === this.asked && !this.rows.size) this.tell(navigator.onLine ? "unreachable" : "offline");
      return;
    }
    if (asked !== this.asked) return;
    if (!on) this.rows = new Map();
    for (const listed of page.results) {
      const known = this.known.get(listed.id);
      const row = known?.version > listed.version ? known : listed;
      const gone = Date.now() - (this.left.get(`${this.shelf} ${row.id}`) ?? 0) < LAG;
      if (!gone && (this.view !== "favorites" || row.favorite)) this.rows.set(row.id, row);
    }
    this.cursor = page.next_cursor;
    this.more.hidden = !this.cursor;
    this.show();
    if (this.cursor && this.view === "favorites" && this.rows.size < PAGE) await this.load(true);
  }

  tell(title, hint) {
    this.empty.replaceChildren(icon("waves"), h("h2", {}, t(title)), hint ? h("p", {}, t(hint)) : "");
  }

  show() {
    this.showTags();
    this.list.replaceChildren(...[...this.rows.values()].map((row) => this.item(row)));
    this.clear.hidden = this.view !== "trash" || !this.rows.size;
    this.empty.replaceChildren();
    if (this.rows.size || this.pending.childElementCount) return;
    if (this.search.value || this.tag.value) this.tell("none_found", "none_found_hint");
    else if (this.view === "trash") this.tell("empty_trash");
    else if (this.view === "favorites") this.tell("empty_favorites");
    else this.tell("empty", "empty_hint");
  }

  /** Offer the tags that have been seen. The one that is chosen stays, whether or not anything has it still. */
  showTags() {
    for (const row of this.rows.values()) for (const tag of row.tags) this.tags.add(tag);
    const chosen = this.tag.value;
    this.tag.replaceChildren(
      h("option", { value: "" }, t("all_tags")),
      ...[...this.tags].sort((a, b) => a.localeCompare(b)).map((tag) => h("option", { value: tag }, tag)),
    );
    this.tag.value = chosen;
    this.tag.hidden = !this.tags.size;
  }

  item(row) {
    const current = this.chosen?.id === row.id;
    return h(
      "li",
      {},
      h(
        "button",
        { class: "item", "aria-current": current ? "true" : undefined, onclick: () => this.choose(row) },
        h("span", { class: "name" }, row.favorite ? icon("heart", true) : "", row.name),
        h("span", { class: "length" }, row.duration === null ? "" : clock(row.duration)),
        h(
          "span",
          { class: "quiet-text when" },
          date(row.recorded_at),
          row.tags.map((tag) => h("span", { class: "tag" }, tag)),
        ),
        row.verified_at
          ? h("span", { class: "safe", title: t("safe") }, icon("check"), h("span", { class: "hidden" }, t("safe")))
          : h("span", { class: "quiet-text" }, t("checking")),
      ),
    );
  }

  choose(row) {
    const had = this.chosen;
    this.chosen = row ? detail(row, (what, news) => this.after(what, news)) : null;
    this.element.classList.toggle("chosen", Boolean(row));
    this.pane.replaceChildren(this.chosen?.element ?? h("p", { class: "quiet-text choose" }, t("choose")));
    for (const id of [had?.id, row?.id]) this.replace(id);
    if (row) this.pane.querySelector(".round")?.focus({ preventScroll: true });
  }

  replace(id) {
    const at = [...this.rows.keys()].indexOf(id);
    if (at >= 0) this.list.children[at]?.replaceWith(this.item(this.rows.get(id)));
  }

  after(what, recording) {
    if (what === "changed") {
      this.rows.set(recording.id, recording);
      this.known.set(recording.id, recording);
      this.showTags();
      this.replace(recording.id);
      return;
    }
    const { id } = recording;
    if (what === "returned") {
      this.left.set(`trash ${id}`, Date.now());
      this.left.delete(`library ${id}`);
      this.known.set(id, recording);
      if (this.view === "library") this.arrived(recording);
      else this.load();
      dispatchEvent(new Event("used"));
      return;
    }
    if (this.chosen?.id === id) this.choose(null);
    if (what === "gone") {
      const [from, to] = recording.trashed_at ? ["trash", "library"] : ["library", "trash"];
      this.left.set(`${from} ${id}`, Date.now());
      this.left.delete(`${to} ${id}`);
      if (this.shelf === to) return this.load(); // somebody was faster than the server
      this.rows.delete(id);
      this.show();
      dispatchEvent(new Event("used"));
    } else this.list.querySelectorAll(".item")[[...this.rows.keys()].indexOf(id)]?.focus();
  }

  /** A recording that is new, or known better by now. The list is an index that lags a moment: it is put in here. */
  arrived(recording) {
    if (this.view === "trash" || this.view === "favorites" || recording.trashed_at) return;
    const known = this.rows.get(recording.id);
    if (known && known.version >= recording.version) return;
    this.rows.set(recording.id, recording);
    this.rows = new Map([...this.rows].sort(([, a], [, b]) => b.recorded_at.localeCompare(a.recorded_at)));
    this.show();
    if (this.chosen?.id === recording.id && known?.playable !== recording.playable) this.choose(recording);
  }

  async purgeAll() {
    if (!(await confirmed(t("purge_all_question"), t("yes_delete"), t("cancel")))) return;
    try {
      await remove("recordings/?shelf=trash");
    } catch (error) {
      return failed(error);
    }
    this.rows = new Map();
    this.show();
    dispatchEvent(new Event("used"));
  }

  async showPending() {
    const takes = await store.all();
    const waiting = this.view === "library" ? takes.filter((take) => take.state === "waiting") : [];
    this.pending.replaceChildren(...waiting.map((take) => this.waiting(take)));
    const left = this.view === "library" ? await recorder.abandoned() : [];
    this.found.replaceChildren(...left.map((take) => this.interrupted(take)));
    if (waiting.length) this.empty.replaceChildren();
  }

  waiting(take) {
    const share = uploads.progress.get(take.id);
    const text = take.problem
      ? t("failed", take.problem)
      : share === undefined
        ? t("waiting")
        : t("sending", Math.floor(share * 100));
    return h(
      "li",
      { class: take.problem ? "wrong" : "" },
      h("span", { class: "name" }, icon("cloud"), take.name),
      h("span", { class: "quiet-text" }, text),
      share !== undefined && h("progress", { max: 1, value: share, "aria-label": take.name }),
      take.problem && h("button", { class: "quiet", onclick: () => uploads.retry(take) }, t("retry")),
      take.problem && h("button", { class: "quiet", onclick: () => this.discard(take) }, t("discard")),
    );
  }

  interrupted(take) {
    return h(
      "section",
      { class: "card", "aria-label": t("found") },
      h("h2", {}, t("found")),
      h("p", {}, t("found_text", take.name)),
      h(
        "div",
        { class: "row" },
        h("button", { class: "primary", onclick: () => recorder.finish(take) }, t("finish")),
        h("button", { class: "quiet", onclick: () => this.discard(take) }, t("discard")),
      ),
    );
  }

  async discard(take) {
    if (await confirmed(t("discard_question", take.name), t("discard"), t("cancel"))) await store.forget(take.id);
  }
}
