// The page: what it shows, the red button, and files that are dropped on it.

import { account, usage } from "./account.js";
import { get } from "./api.js";
import { h, icon, say } from "./dom.js";
import { Library } from "./library.js";
import { Take } from "./recorder.js";
import * as store from "./store.js";
import * as uploads from "./uploads.js";
import { clock, date, language, t } from "./words.js";

const VIEWS = {
  library: ["waves", "recordings"],
  favorites: ["heart", "favorites"],
  trash: ["trash", "trash"],
  account: ["user", "account"],
};
const ACCEPTED = /^(audio\/|video\/(mp4|webm)|application\/ogg)/;
const TYPES = {
  amr: "audio/amr",
  caf: "audio/x-caf",
  flac: "audio/flac",
  m4a: "audio/mp4",
  mp3: "audio/mpeg",
  oga: "audio/ogg",
  ogg: "audio/ogg",
  opus: "audio/ogg",
  wav: "audio/wav",
  "3gp": "audio/3gpp",
};

const EXTENSIONS = { "audio/webm": "webm", "audio/mp4": "m4a", "audio/ogg": "ogg" };

const main = document.querySelector("main");
const bar = document.getElementById("bar");
const library = new Library(main);
let take = null;
let beginning = false;
let leaving = null; // where to go, once nothing is being recorded

// Where we are.

const view = () => (location.hash.slice(2) in VIEWS ? location.hash.slice(2) : "library");

const links = new Map(
  Object.entries(VIEWS).map(([name, [picture, words]]) => [
    name,
    h("a", { href: `#/${name}` }, icon(picture), h("span", {}, t(words))),
  ]),
);

function show() {
  for (const [name, link] of links) {
    if (name === view()) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (view() === "account")
    account(main).catch(() => main.replaceChildren(h("p", { class: "empty" }, t("unreachable"))));
  else library.open(view());
}

async function showUsage() {
  const me = await get("accounts/me/").catch(() => null);
  if (me) document.getElementById("usage").replaceChildren(usage(me));
}

// Recording.

const problem = h("div", { class: "problem", role: "alert" });

function alarm(words) {
  problem.replaceChildren(h("h2", {}, t(words)), h("p", {}, t(`${words}_text`)));
}

function idle() {
  const file = h("input", {
    type: "file",
    multiple: true,
    accept: "audio/*,video/mp4,video/webm,.amr,.caf,.opus",
    hidden: true,
    onchange: () => add(file.files),
  });
  bar.replaceChildren(
    problem,
    h(
      "div",
      { class: "row controls" },
      h("span", { class: "side" }, inputs()),
      h("button", { class: "record", "aria-label": t("record"), onclick: begin }, h("span", { class: "dot" })),
      h(
        "span",
        { class: "side" },
        h("button", { class: "quiet add", onclick: () => file.click() }, icon("plus"), h("span", {}, t("add"))),
        file,
      ),
    ),
  );
}

function inputs() {
  const choice = h("select", {
    "aria-label": t("input"),
    class: "input",
    hidden: true,
    onchange: () => localStorage.setItem("input", choice.value),
  });
  navigator.mediaDevices?.enumerateDevices().then((devices) => {
    const microphones = devices.filter((device) => device.kind === "audioinput" && device.label);
    choice.hidden = microphones.length < 2;
    choice.replaceChildren(...microphones.map((device) => h("option", { value: device.deviceId }, device.label)));
    const stored = localStorage.getItem("input");
    if (microphones.some((device) => device.deviceId === stored)) choice.value = stored;
  });
  return choice;
}

async function begin() {
  if (beginning) return;
  beginning = true;
  problem.replaceChildren();
  try {
    take = await microphone();
    running();
  } catch (error) {
    if (error.name === "NotAllowedError") alarm("refused");
    else if (error.name === "NotFoundError" || !navigator.mediaDevices)
      problem.replaceChildren(h("h2", {}, t("no_microphone")));
    else problem.replaceChildren(h("h2", {}, t("not_begun")), h("p", {}, error.message));
  } finally {
    beginning = false;
  }
}

/** A take from the microphone that was chosen; from any, if that one is gone. */
async function microphone() {
  const name = t("recorded", date(new Date()));
  try {
    return await Take.begin(name, localStorage.getItem("input"));
  } catch (error) {
    if (error.name !== "OverconstrainedError") throw error;
    localStorage.removeItem("input");
    return Take.begin(name);
  }
}

function running() {
  const time = h("output", { class: "timer" }, "0:00");
  const fill = h("span");
  const level = h("span", { class: "level", role: "img", "aria-label": t("level") }, fill);
  const state = h("span", { class: "state", role: "status" }, t("recording"));
  const pause = h("button", { class: "quiet", onclick: toggle }, icon("pause"), h("span", {}, t("pause")));
  const mark = h("button", { class: "quiet", onclick: add }, icon("flag"), h("span", {}, t("mark")));
  const stop = h(
    "button",
    { class: "record running", "aria-label": t("stop"), onclick: end },
    h("span", { class: "square" }),
  );
  const mine = take;

  function toggle() {
    mine.toggle();
    pause.replaceChildren(
      icon(mine.paused ? "microphone" : "pause"),
      h("span", {}, t(mine.paused ? "resume" : "pause")),
    );
    state.textContent = t(mine.paused ? "paused" : "recording");
    bar.classList.toggle("paused", mine.paused);
  }

  async function add() {
    await mine.mark(t("marker", (mine.row.markers?.length ?? 0) + 1));
    state.textContent = `${t("markers")}: ${mine.row.markers.length}`;
  }

  async function end() {
    if (stop.disabled) return;
    stop.disabled = pause.disabled = mark.disabled = true;
    if (!(await mine.stop())) {
      full(true);
      stop.disabled = false;
      stop.focus();
      return;
    }
    take = null;
    bar.classList.remove("live", "paused");
    if (leaving) location.replace(leaving);
    idle();
  }

  /** What is said doesn't fit into the store: it is in memory, and the person may take it from there. */
  function full(ended) {
    const save = async () => {
      const url = URL.createObjectURL(await mine.file());
      h("a", { href: url, download: `${mine.row.name}.${EXTENSIONS[mine.row.type.split(";")[0]] ?? "webm"}` }).click();
      setTimeout(() => URL.revokeObjectURL(url), 60_000);
    };
    alarm("unkept");
    if (ended) problem.append(h("button", { class: "quiet", onclick: save }, icon("download"), t("download")));
  }

  async function gone() {
    if (stop.disabled) return;
    await end();
    if (!take) alarm("gone");
  }

  function tick() {
    if (take !== mine) return;
    time.textContent = clock(mine.seconds);
    fill.style.width = `${mine.paused ? 0 : Math.round(mine.level * 100)}%`;
    requestAnimationFrame(tick);
  }

  mine.onkept = () => {
    if (mine.failed) full();
    else if (leaving) alarm("signed_out");
    else problem.replaceChildren();
  };
  mine.over.then(gone);
  bar.classList.add("live");
  bar.replaceChildren(
    problem,
    h(
      "div",
      { class: "row controls" },
      h("span", { class: "side" }, state, time, level),
      stop,
      h("span", { class: "side buttons" }, mark, pause),
    ),
  );
  stop.focus();
  tick();
}

// Files.

async function add(files) {
  for (const file of files) {
    const type = file.type || TYPES[file.name.split(".").pop().toLowerCase()] || "";
    if (!ACCEPTED.test(type) || !file.size) {
      say(t("not_audio", file.name), true);
      continue;
    }
    const copy = file.type === type ? file : new File([file], file.name, { type });
    await store.keep(copy, file.name.slice(0, 255), new Date(file.lastModified || Date.now()).toISOString());
  }
}

const cover = h("div", { class: "cover", hidden: true }, icon("plus"), t("drop"));
addEventListener("dragover", (event) => {
  if (!event.dataTransfer.types.includes("Files")) return;
  event.preventDefault();
  cover.hidden = false;
});
addEventListener("dragleave", (event) => {
  if (event.relatedTarget === null) cover.hidden = true;
});
addEventListener("drop", (event) => {
  event.preventDefault();
  cover.hidden = true;
  add(event.dataTransfer.files);
});

// The rest.

addEventListener("keydown", (event) => {
  if (!event.target.closest?.("input, textarea, select, button, a, dialog, [role=slider]"))
    library.chosen?.press(event);
});
addEventListener("leave", ({ detail }) => {
  leaving = detail;
  if (take) alarm("signed_out");
  else location.replace(leaving);
});
addEventListener("beforeunload", (event) => take && event.preventDefault());
addEventListener("hashchange", show);
addEventListener("used", showUsage);

function network() {
  document.getElementById("network").textContent = navigator.onLine ? "" : t("offline");
}
addEventListener("online", () => {
  network();
  show();
  showUsage();
});
addEventListener("offline", network);

document.documentElement.lang = language;
document.body.append(cover);
document.querySelector("nav").replaceChildren(...links.values());
network();
idle();
show();
showUsage();
uploads.run(
  (recording) => {
    say(t(recording.verified_at ? "sent" : "arrived", recording.name));
    library.arrived(recording);
    showUsage();
    uploads.settled(recording.id, (news) => library.arrived(news));
  },
  (recording) => library.arrived(recording),
  (error, failed) => say(t("failed", `${failed.name}: ${error.message}`), true),
);
navigator.serviceWorker?.register("/sw.js");
