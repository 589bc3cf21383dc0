// What must survive a crash: the pieces of running recordings, and files that wait for their upload. One database for
// each account: who signs in next in this browser sees and sends nothing of the one before.
//
// takes: { id, name, type, started_at, state: "recording" | "waiting" | "sent", seconds, recording?, resent?, problem? }
// chunks: { take, n, blob }
//
// What is sent stays until its `recording` is proven: until then this may be the only copy that is right.

const ACCOUNT = document.body.dataset.account;
let opened;

function open() {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open(`recorder-${ACCOUNT}`, 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore("takes", { keyPath: "id" });
      request.result.createObjectStore("chunks", { keyPath: ["take", "n"] });
    };
    request.onsuccess = () => {
      request.result.onclose = lost;
      resolve(request.result);
    };
    request.onerror = () => {
      lost();
      reject(request.error);
    };
  });
  return opened;
}

/** The browser has closed the database, or could not open it: the next call opens it anew. */
function lost() {
  opened = undefined;
}

function attempt(database, mode, act) {
  return new Promise((resolve, reject) => {
    const write = database.transaction(["takes", "chunks"], mode, { durability: "strict" });
    const answer = act(write.objectStore("takes"), write.objectStore("chunks"));
    write.oncomplete = () => resolve(answer?.result);
    write.onabort = () => reject(write.error);
  });
}

async function within(mode, act) {
  try {
    return await attempt(await open(), mode, act);
  } catch (error) {
    if (error.name !== "InvalidStateError") throw error;
    lost(); // it was closed, and nobody said so
    return attempt(await open(), mode, act);
  }
}

const pieces = (id) => IDBKeyRange.bound([id, 0], [id, Infinity]);
const changed = new BroadcastChannel(`recorder-${ACCOUNT}`);

/** Call `act` whenever a take changes, here or in another tab. */
export function watch(act) {
  changed.addEventListener("message", act);
  addEventListener("takes", act);
}

function tell() {
  changed.postMessage(null);
  dispatchEvent(new Event("takes"));
}

export const all = () => within("readonly", (takes) => takes.getAll());

export async function save(take) {
  await within("readwrite", (takes) => takes.put(take));
  tell();
}

export const append = (id, n, blob) => within("readwrite", (_, chunks) => chunks.put({ take: id, n, blob }));

export async function content(take) {
  const found = await within("readonly", (_, chunks) => chunks.getAll(pieces(take.id)));
  return new Blob(
    found.map((piece) => piece.blob),
    { type: take.type },
  );
}

export async function forget(id) {
  await within("readwrite", (takes, chunks) => {
    takes.delete(id);
    chunks.delete(pieces(id));
  });
  tell();
}

/** Put files in, to be uploaded. */
export async function keep(file, name, recorded_at) {
  const take = {
    id: crypto.randomUUID(),
    name,
    type: file.type,
    started_at: recorded_at,
    state: "waiting",
    size: file.size,
  };
  await append(take.id, 0, file);
  await save(take);
  return take;
}
