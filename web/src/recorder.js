// One running recording: the microphone, its level, and every two seconds a piece in the store.

import * as store from "./store.js";

const EVERY = 2000; // ms; what a crash can lose at most
const TYPES = ["audio/webm;codecs=opus", "audio/mp4", "audio/ogg;codecs=opus"];

export class Take {
  /** Ask for the microphone and begin. Rejects with the browser's DOMException where it is refused. */
  static async begin(name, device) {
    const take = new Take();
    const audio = { deviceId: device ? { exact: device } : undefined, channelCount: 1 };
    take.stream = await navigator.mediaDevices.getUserMedia({ audio });
    const type = TYPES.find((each) => MediaRecorder.isTypeSupported(each)) ?? "";
    take.recorder = new MediaRecorder(take.stream, { mimeType: type, audioBitsPerSecond: 64000 });
    take.row = {
      id: crypto.randomUUID(),
      name,
      type: take.recorder.mimeType || type,
      started_at: new Date().toISOString(),
      state: "recording",
    };
    take.writing = Promise.resolve();
    take.pieces = take.before = 0;
    take.release = await held(take.row.id);
    await store.save(take.row);
    take.recorder.ondataavailable = ({ data }) => take.write(data);
    take.recorder.start(EVERY);
    take.since = performance.now();
    take.listen();
    navigator.storage?.persist?.();
    navigator.wakeLock?.request("screen").then(
      (lock) => (take.awake = lock),
      () => {},
    );
    return take;
  }

  write(data) {
    if (data.size) this.writing = this.writing.then(() => store.append(this.row.id, this.pieces++, data));
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

  get paused() {
    return this.recorder.state === "paused";
  }

  get seconds() {
    return this.before + (this.paused ? 0 : (performance.now() - this.since) / 1000);
  }

  /** Mark this moment; it goes with the recording. */
  async mark(label) {
    this.row.markers = [...(this.row.markers ?? []), { at: Math.round(this.seconds * 1000) / 1000, label }];
    await store.save(this.row);
  }

  toggle() {
    if (this.paused) {
      this.recorder.resume();
      this.since = performance.now();
    } else {
      this.before = this.seconds;
      this.recorder.pause();
      this.recorder.requestData();
    }
  }

  /** End it, and put it into the upload queue. */
  async stop() {
    const seconds = this.seconds;
    await new Promise((resolve) => {
      this.recorder.onstop = resolve;
      this.recorder.stop();
    });
    for (const track of this.stream.getTracks()) track.stop();
    this.awake?.release();
    await this.context.close();
    await this.writing;
    await store.save({ ...this.row, state: "waiting", seconds });
    this.release();
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
