// What the tests' pages do with Uppy; v5/ and v6/ say which one. docs/uppy.md shows the same without the test's hooks.
import { declare } from './declare.js'

const GIB = 1024 ** 3

window.seen = { log: [], errors: [], parts: 0, done: [], restored: false }

export function serve({ Uppy, AwsS3, GoldenRetriever }, address) {
  window.enter = async (server, key) => {
    const api = (path) => fetch(`${server}/api/v1/recordings/${path}`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${key}` },
    })
    const { endpoint } = await (await api('uppy/')).json()
    const log = (...words) => window.seen.log.push(words.join(' '))
    const uppy = new Uppy({ id: 'recorder', logger: { debug: log, warn: log, error: log } })
    uppy.addPreProcessor(declare(uppy))
    uppy.use(AwsS3, address(endpoint))
    uppy.use(GoldenRetriever, { indexedDB: { maxFileSize: 5 * GIB, maxTotalSize: 50 * GIB } })
    uppy.on('upload-success', async (file, { body }) => {
      const recording = await api(`${body.key.split('/')[2]}/complete/`)
      window.seen.done.push({ name: file.name, key: body.key, status: recording.status })
    })
    uppy.on('s3-multipart:part-uploaded', () => {
      window.seen.parts += 1
      if (window.seen.parts === window.seen.reloadAfter) window.location.reload()
    })
    uppy.on('upload-error', (file, error) => window.seen.errors.push(`${file.name}: ${error.message}`))
    uppy.on('restored', () => { window.seen.restored = true })
    window.uppy = uppy
  }
  window.choose = (input) => {
    window.uppy.addFiles([...input.files].map((file) => ({ name: file.name, type: file.type, data: file })))
  }
}
