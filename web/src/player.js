// The player of one recording: the waveform to see and seek, speed, silence skipped, keys.

import { get } from "./api.js";
import { h, icon } from "./dom.js";
import { clock, t } from "./words.js";

const SPEEDS = [0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 2.5, 3];
const BAR = 3; // CSS pixels for each bar of the waveform, and one more between two

/** `mark` is called with the moment that the key M marks. */
export function player(recording, mark) {
  const audio = h("audio", {
    preload: "metadata",
    src: `/api/v1/recordings/${recording.id}/download/?disposition=inline`,
  });
  const canvas = h("canvas", { "aria-hidden": "true" });
  const slider = h("div", { class: "waveform", role: "slider", tabIndex: 0, "aria-label": t("position") }, canvas);
  const now = h("output", { class: "clock", "aria-hidden": "true" }, "0:00");
  const all = h("span", { class: "clock" }, clock(recording.duration));
  const button = h("button", { class: "round", onclick: toggle, "aria-label": t("play") }, icon("play", true));
  const speed = h(
    "select",
    { "aria-label": t("speed"), onchange: () => setSpeed(Number(speed.value)) },
    SPEEDS.map((each) => h("option", { value: String(each) }, `${each}×`)),
  );
  const skip = h("input", { type: "checkbox", onchange: () => localStorage.setItem("skip", skip.checked ? "1" : "") });
  skip.checked = localStorage.getItem("skip") === "1";
  const note = h("p", { class: "quiet-text", role: "status" });
  let wave = { peaks: [], duration: recording.duration ?? 0, segments: [] };

  const length = () => wave.duration || (Number.isFinite(audio.duration) ? audio.duration : 0);

  function setSpeed(value) {
    audio.playbackRate = audio.defaultPlaybackRate = value;
    speed.value = String(value);
    localStorage.setItem("speed", String(value));
  }

  function toggle() {
    if (audio.paused) audio.play().catch(() => {});
    else audio.pause();
  }

  function seek(seconds) {
    audio.currentTime = Math.max(0, Math.min(length() - 0.05, seconds));
    show();
  }

  function show() {
    const at = audio.currentTime;
    now.textContent = clock(at);
    slider.setAttribute("aria-valuemin", "0");
    slider.setAttribute("aria-valuemax", String(Math.round(length())));
    slider.setAttribute("aria-valuenow", String(Math.min(Math.round(at), Math.round(length()))));
    slider.setAttribute("aria-valuetext", `${clock(at)} / ${clock(length())}`);
    draw();
  }

  function draw() {
    const { clientWidth: width, clientHeight: height } = canvas;
    const scale = devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * scale)) {
      canvas.width = Math.round(width * scale);
      canvas.height = Math.round(height * scale);
    }
    const context = canvas.getContext("2d");
    const style = getComputedStyle(slider);
    const [played, ahead] = [style.getPropertyValue("--played"), style.getPropertyValue("--ahead")];
    const done = length() ? audio.currentTime / length() : 0;
    const bars = Math.max(1, Math.floor(width / (BAR + 1)));
    const most = Math.max(24, ...wave.peaks); // what is quiet is drawn larger, silence is not
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, height);
    for (let bar = 0; bar < bars; bar++) {
      const [from, to] = [bar, bar + 1].map((at) => Math.floor((at * wave.peaks.length) / bars));
      const peak = Math.max(0, ...wave.peaks.slice(from, Math.max(to, from + 1)));
      const tall = Math.max(2, (peak / most) * (height - 4));
      context.fillStyle = bar / bars < done ? played : ahead;
      context.beginPath();
      context.roundRect(bar * (BAR + 1), (height - tall) / 2, BAR, tall, 1.5);
      context.fill();
    }
  }

  function jump() {
    if (!skip.checked || !wave.segments.length || audio.paused) return;
    const at = audio.currentTime;
    if (wave.segments.some(([start, end]) => start <= at && at < end)) return;
    const next = wave.segments.find(([start]) => start > at);
    if (next && next[0] - at > 0.2) audio.currentTime = next[0];
  }

  function frame() {
    if (!slider.isConnected) return audio.pause();
    jump();
    show();
    if (!audio.paused) requestAnimationFrame(frame);
  }

  function press(event) {
    const keys = {
      ArrowLeft: () => seek(audio.currentTime - 5),
      ArrowRight: () => seek(audio.currentTime + 5),
      Home: () => seek(0),
      End: () => seek(length()),
      PageUp: () => seek(audio.currentTime + 30),
      PageDown: () => seek(audio.currentTime - 30),
      " ": toggle,
      m: () => mark(audio.currentTime),
      "[": () => setSpeed(SPEEDS[Math.max(0, SPEEDS.indexOf(audio.playbackRate) - 1)]),
      "]": () => setSpeed(SPEEDS[Math.min(SPEEDS.length - 1, SPEEDS.indexOf(audio.playbackRate) + 1)]),
    };
    if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    keys[event.key]();
  }

  function point(event) {
    const { left, width } = canvas.getBoundingClientRect();
    seek(((event.clientX - left) / width) * length());
  }

  for (const kind of ["play", "pause", "ended"]) {
    audio.addEventListener(kind, () => {
      button.replaceChildren(icon(audio.paused ? "play" : "pause", audio.paused));
      button.setAttribute("aria-label", t(audio.paused ? "play" : "pause"));
      frame();
    });
  }
  audio.addEventListener(
    "error",
    () => (note.textContent = t(recording.playable === false ? "unplayable" : "no_player")),
  );
  audio.addEventListener("durationchange", show);
  slider.addEventListener("keydown", press);
  slider.addEventListener("pointerdown", (event) => {
    slider.setPointerCapture(event.pointerId);
    point(event);
  });
  slider.addEventListener("pointermove", (event) => event.buttons && point(event));
  new ResizeObserver(show).observe(slider);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
  setSpeed(Number(localStorage.getItem("speed")) || 1);

  if (recording.playable === false) note.textContent = t("unplayable");
  else if (recording.playable === null) note.textContent = t("listening");
  else
    get(`recordings/${recording.id}/waveform/`).then(
      (heard) => {
        wave = heard;
        show();
      },
      () => {},
    );

  const element = h(
    "section",
    { class: "player" },
    slider,
    h(
      "div",
      { class: "row" },
      button,
      h("span", { class: "times" }, now, " / ", all),
      h("label", { class: "check" }, skip, t("skip_silence")),
      speed,
    ),
    note,
    audio,
  );
  const moved = (act) => audio.addEventListener("timeupdate", act);
  return { element, press, toggle, seek, length, moved, at: () => audio.currentTime };
}
