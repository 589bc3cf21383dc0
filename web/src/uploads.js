// The upload queue. One tab works on it, whatever is waiting in the store; offline it waits, and goes on by itself.

import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { get, passing, patch, post, put } from "./api.js";
import * as store from "./store.js";

const AT_ONCE = 32 * 2 ** 20; // bytes that the browser's own digest takes in one piece
const STEP = 4 * 2 ** 20;
const PARALLEL = 3;

export const progress = new Map(); // take id → bytes sent
let resume = () => {};
let news = false; // something happened since the queue was read

function wake() {
  news = true;
  resume();
}

async function digest(blob) {
  if (blob.size <= AT_ONCE) return hex(await crypto.subtle.digest("SHA-256", await blob.arrayBuffer()));
  const hash = sha256.create();
  for (let at = 0; at < blob.size; at += STEP) {
    hash.update(new Uint8Array(await blob.slice(at, at + STEP).arrayBuffer()));
  }
  return bytesToHex(hash.digest());
}

const hex = (buffer) => bytesToHex(new Uint8Array(buffer));

/** Work through the queue for as long as this tab lives, and no other tab does. */
export function run(done, failed) {
  store.watch(wake);
  addEventListener("online", wake);
  navigator.locks.request(`uploads-${document.body.dataset.account}`, async () => {
    for (let pause = 2; ; ) {
      news = false;
      const waiting = (await store.all()).filter((take) => take.state === "waiting" && !take.problem);
      let away = !navigator.onLine;
      for (const take of away ? [] : waiting) {
        try {
          done(await upload(take), take);
        } catch (error) {
          progress.delete(take.id);
          if (passing(error)) {
            away = true;
            break;
          }
          await store.save({ ...take, problem: error.message });
          failed(error, take);
        }
      }
      pause = away ? Math.min(pause * 2, 60) : 2;
      const left = away && waiting.length > 0;
      if (news && !away) continue;
      await new Promise((resolve) => {
        resume = resolve;
        if (left) setTimeout(resolve, pause * 1000);
      });
    }
  });
}

export async function retry(take) {
  await store.save({ ...take, problem: undefined });
}

async function upload(take) {
  const blob = await store.content(take);
  const declared = {
    name: take.name,
    size: blob.size,
    sha256: await digest(blob),
    content_type: take.type,
    recorded_at: take.started_at,
  };
  for (let tries = 0; ; tries++) {
    const { recording, upload } = await post("recordings/", declared);
    const sent = (bytes) => (progress.set(take.id, bytes / blob.size), dispatchEvent(new Event("progress")));
    sent(0);
    if (upload?.kind === "single") await put(upload.url, upload.headers, blob, sent);
    else if (upload) await parts(recording, upload, blob, sent);
    try {
      const ready = upload ? await post(`recordings/${recording.id}/complete/`) : recording;
      if (take.markers) await patch(`recordings/${recording.id}/`, { markers: take.markers.slice(0, 200) });
      await store.forget(take.id);
      progress.delete(take.id);
      return ready;
    } catch (error) {
      if (tries > 2 || error.status !== 409) throw error;
    }
  }
}

async function parts(recording, upload, blob, sent) {
  const loaded = new Map();
  const slice = (number) => blob.slice((number - 1) * upload.part_size, number * upload.part_size);
  for (const number of upload.received) loaded.set(number, slice(number).size);
  const left = Array.from({ length: upload.part_count }, (_, at) => at + 1).filter((number) => !loaded.has(number));
  const report = () => sent([...loaded.values()].reduce((sum, bytes) => sum + bytes, 0));
  const work = async () => {
    for (let number = left.shift(); number; number = left.shift()) {
      const piece = slice(number);
      const wanted = { number, sha256: await digest(piece) };
      const { parts } = await post(`recordings/${recording.id}/parts/`, { parts: [wanted] });
      await put(parts[0].url, parts[0].headers, piece, (bytes) => (loaded.set(number, bytes), report()));
      loaded.set(number, piece.size);
      report();
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, work));
}

/** The recording once it is proven and has been listened to; as it is after a while if that takes longer. */
export async function settled(id, act) {
  for (let pause = 0.7; pause < 40; pause *= 1.6) {
    await new Promise((resolve) => setTimeout(resolve, pause * 1000));
    const recording = await get(`recordings/${id}/`).catch(() => null);
    if (!recording) continue;
    act(recording);
    if (recording.verified_at && recording.playable !== null) return;
  }
}
