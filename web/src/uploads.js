// The upload queue. One tab works on it, whatever is waiting in the store; offline it waits, and goes on by itself.

import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { get, passing, patch, post, put } from "./api.js";
import * as store from "./store.js";
import { t } from "./words.js";

const AT_ONCE = 32 * 2 ** 20; // bytes that the browser's own digest takes in one piece
const STEP = 4 * 2 ** 20;
const PARALLEL = 3;
const LOOK = 30_000; // ms between two looks at what is sent and not proven yet

export const progress = new Map(); // take id → bytes sent
let look = 0; // when to look next
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

/**
 * Work through the queue for as long as this tab lives, and no other tab does. `done` is told of each recording that
 * has been sent, `proven` of each whose copy here is not needed any more, `failed` of what won't be tried again.
 */
export function run(done, proven, failed) {
  store.watch(wake);
  addEventListener("online", wake);
  navigator.locks.request(`uploads-${document.body.dataset.account}`, async () => {
    for (let pause = 2; ; ) {
      news = false;
      const takes = await store.all().catch(() => []); // a store that is out of reach is read again with the next news
      const waiting = takes.filter((take) => take.state === "waiting" && !take.problem);
      const sent = takes.filter((take) => take.state === "sent");
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
          await store.save({ ...take, problem: error.message }).catch(() => {});
          failed(error, take);
        }
      }
      if (!away && Date.now() >= look) {
        look = Date.now() + LOOK;
        for (const take of sent) await weigh(take, proven).catch(() => {}); // it is looked at again
      }
      pause = away ? Math.min(pause * 2, 60) : 2;
      const left = away && waiting.length > 0;
      if (news && !away) continue;
      await new Promise((resolve) => {
        resume = resolve;
        if (left) setTimeout(resolve, pause * 1000);
        else if (sent.length) setTimeout(resolve, look - Date.now());
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
    const sent = (bytes) => {
      progress.set(take.id, bytes / blob.size);
      dispatchEvent(new Event("progress"));
    };
    sent(0);
    if (upload?.kind === "single") await put(upload.url, upload.headers, blob, sent);
    else if (upload) await parts(recording, upload, blob, sent);
    try {
      const ready = upload ? await post(`recordings/${recording.id}/complete/`) : recording;
      if (take.markers) await patch(`recordings/${recording.id}/`, { markers: take.markers.slice(0, 200) });
      if (ready.verified_at) await store.forget(take.id);
      else await store.save({ ...take, state: "sent", recording: ready.id });
      progress.delete(take.id);
      return ready;
    } catch (error) {
      if (tries > 2 || error.status !== 409) throw error;
    }
  }
}

/** See what became of a take that was sent. Only a proof frees the copy; what arrived as something else goes again. */
async function weigh(take, proven) {
  const path = `recordings/${take.recording}/`;
  const recording = await get(path).catch((error) => {
    if (error.status !== 404) throw error;
    return null;
  });
  if (!recording) {
    await store.save({ ...take, state: "waiting", problem: t("deleted_early") });
  } else if (recording.verified_at) {
    await store.forget(take.id);
    proven(recording);
  } else if (recording.status === "mismatch" && !recording.trashed_at && (await wanted(recording))) {
    await store.save({ ...take, state: "waiting", resent: true, problem: take.resent ? t("mismatch") : undefined });
  }
}

/** Whether the server wants these bytes once more, or is still reading those that it got last. */
async function wanted({ name, size, sha256, content_type }) {
  return Boolean((await post("recordings/", { name, size, sha256, content_type })).upload);
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
      const arrived = (bytes) => {
        loaded.set(number, bytes);
        report();
      };
      await put(parts[0].url, parts[0].headers, piece, arrived);
      arrived(piece.size);
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, work));
}

async function proven(id) {
  for (const take of await store.all())
    if (take.state === "sent" && take.recording === id) await store.forget(take.id);
}

/** The recording once it is proven and has been listened to; as it is after a while if that takes longer. */
export async function settled(id, act) {
  for (let pause = 0.7; pause < 40; pause *= 1.6) {
    await new Promise((resolve) => setTimeout(resolve, pause * 1000));
    const recording = await get(`recordings/${id}/`).catch(() => null);
    if (!recording) continue;
    act(recording);
    if (recording.verified_at) await proven(recording.id);
    if (recording.verified_at && recording.playable !== null) return;
  }
}
