// One running recording: the microphone, its level, and every two seconds a piece in the store.

import * as store from "./store.js";

const EVERY = 2000; // ms; what a crash can lose at most
const LAST = 5000; // ms that the last piece may take
const TYPES = ["audio/webm;codecs=opus", "audio/mp4", "audio/ogg;codecs=opus"];

export class Take {
  pieces = 0; // in the store
  unkept = []; // not in the store yet, in their order
  writing = Promise.resolve();
  paused = false;
  failed = false; // the last piece did not fit
  before = 0; // seconds until `since`
  since = null; // where it runs

  /** Ask for the microphone and begin. Rejects with the browser's DOMException where it can't, and leaves nothing on. */
  static async begin(name, device) {
    const take = new Take();
    try {
      await take.open(name, device);
    } catch (error) {
      take.silence();
      if (take.row) await store.forget(take.row.id).catch(() => {});
      take.release?.();
      throw error;
    }
    return take;
  }

  async open(name, device) {
    const audio = { deviceId: device ? { exact: device } : undefined, channelCount: 1 };
    this.stream = await navigator.mediaDevices.getUserMedia({ audio });
    const type = TYPES.find((each) => MediaRecorder.isTypeSupported(each)) ?? "";
    this.recorder = new MediaRecorder(this.stream, { mimeType: type, audioBitsPerSecond: 64000 });
    this.row = {
      id: crypto.randomUUID(),
      name,
      type: this.recorder.mimeType || type,
      started_at: new Date().toISOString(),
      state: "recording",
    };
    this.release = await held(this.row.id);
    await store.save(this.row);
    this.over = this.ending();
    this.recorder.ondataavailable = ({ data }) => this.write(data);
    this.recorder.start(EVERY);
    this.since = performance.now();
    this.listen();
    navigator.storage?.persist?.();
    navigator.wakeLock?.request("screen").then(
      (lock) => (this.awake = lock),
      () => {},
    );
  }

  /** Resolves once nothing more is recorded: after `stop`, or because the microphone is gone. */
  ending() {
    for (const track of this.stream.getTracks()) track.onended = () => this.halt();
    this.recorder.onerror = () => this.halt();
    return new Promise((resolve) => {
      this.recorder.onstop = () => {
        this.before = this.seconds;
        this.since = null;
        resolve();
      };
    });
  }

  halt() {
    if (this.recorder.state !== "inactive") this.recorder.stop();
  }

  write(data) {
    if (data.size) this.unkept.push(data);
    this.writing = this.writing.then(() => this.keep());
    return this.writing;
  }

  /** Put into the store what is not there yet; a piece that doesn't fit is tried again with the next. */
  async keep() {
    const before = this.failed;
    try {
      while (this.unkept.length) {
        await store.append(this.row.id, this.pieces, this.unkept[0]);
        this.unkept.shift();
        this.pieces++;
      }
      this.failed = false;
    } catch {
      this.failed = true;
    }
    if (this.failed !== before) this.onkept?.();
  }

  listen() {
    this.context = new AudioContext();
    this.analyser = new AnalyserNode(this.context, { fftSize: 1024 });
    this.context.createMediaStreamSource(this.stream).connect(this.analyser);
    this.samples = new Float32Array(this.analyser.fftSize);
  }

  /** How loud it is now, 0 to 1. */
  get level() {
    this.analyser.getFloatTimeDomainData(this.samples);
    const loudest = this.samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
    return Math.max(0, 1 + (20 * Math.log10(Math.max(loudest, 1e-4))) / 60);
  }

  get seconds() {
    return this.before + (this.since === null ? 0 : (performance.now() - this.since) / 1000);
  }

  /** Mark this moment; it goes with the recording. */
  async mark(label) {
    this.row.markers = [...(this.row.markers ?? []), { at: Math.round(this.seconds * 1000) / 1000, label }];
    await store.save(this.row).catch(() => {}); // `stop` saves it too
  }

  toggle() {
    if (this.recorder.state === "inactive") return;
    this.paused = !this.paused;
    if (this.paused) {
      this.before = this.seconds;
      this.since = null;
      this.recorder.pause();
      this.recorder.requestData();
    } else {
      this.recorder.resume();
      this.since = performance.now();
    }
  }

  /**
   * End it, and put it into the upload queue. False where the store doesn't take all of it: it is in memory still, and
   * this can be called again.
   */
  async stop() {
    try {
      this.halt();
      await Promise.race([this.over, new Promise((resolve) => setTimeout(resolve, LAST))]);
    } finally {
      this.silence();
    }
    try {
      await this.write(new Blob());
      if (this.failed) return false;
      await store.save({ ...this.row, state: "waiting", seconds: this.before });
    } catch {
      return false;
    }
    this.release();
    return true;
  }

  /** Let go of the microphone and the screen. */
  silence() {
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.awake?.release();
    if (this.context?.state !== "closed") this.context?.close();
  }

  /** All of it, also what the store doesn't take. */
  async file() {
    const kept = await store.content(this.row).catch(() => new Blob());
    return new Blob([kept, ...this.unkept], { type: this.row.type });
  }
}

const lock = (id) => `take-${id}`;

/** Hold the lock by which other tabs see that this recording lives. Resolves to what lets go of it. */
function held(id) {
  return new Promise((resolve) => {
    navigator.locks.request(lock(id), () => new Promise((release) => resolve(release)));
  });
}

/** Recordings that a crash or a closed tab has left behind. */
export async function abandoned() {
  const { held: locks } = await navigator.locks.query();
  const alive = new Set(locks.map((each) => each.name));
  return (await store.all()).filter((take) => take.state === "recording" && !alive.has(lock(take.id)));
}

export async function finish(take) {
  await store.save({ ...take, state: "waiting" });
}
