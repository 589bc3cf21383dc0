// A preprocessor for Uppy 5 and 6 that says of each file what Recorder has to know: its size and its SHA-256.
import { createSHA256 } from 'hash-wasm'

export const declare = (uppy) => async (fileIDs) => {
  for (const id of fileIDs) {
    const { data } = uppy.getFile(id)
    const [hash, reader] = [await createSHA256(), data.stream().getReader()]
    for (let read = await reader.read(); !read.done; read = await reader.read()) hash.update(read.value)
    uppy.setFileMeta(id, { size: data.size, sha256: hash.digest() })
  }
}
