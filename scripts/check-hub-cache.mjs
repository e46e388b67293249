// Holds sherd's cache of the Hugging Face hub against Python's huggingface_hub and transformers, in both directions, over a local server:
//   node scripts/check-hub-cache.mjs --python PYTHON
// Python reads offline what sherd has written; sherd reads offline what Python has written; both trees have the same files and links.
import { execFile } from 'node:child_process'
import { lstatSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { runnerImport } from 'vite'

const { python } = parseArgs({ options: { python: { type: 'string', default: 'python3' } } }).values
const { module: server } = await runnerImport('./test/hub/hub-server.ts')
const { fetchModel, findWeights } = await import('../dist/src/index.js')
const run = promisify(execFile)

const commit = '0123456789abcdef'.repeat(3).slice(0, 40)
const files = server.filesOf('../shared/reference/layouts/dinov2', ['expected.safetensors'])
const hub = await server.serveHub({ 'owner/dinov2': { files, commit, card: { license: 'mit' } } })
const dir = mkdtempSync(join(tmpdir(), 'sherd-hub-'))
const cacheOf = (who) => join(dir, who)
const environment = (who, offline) => ({
  ...{
    HF_HUB_CACHE: cacheOf(who),
    HF_ENDPOINT: hub.endpoint,
    HF_HUB_OFFLINE: offline ? '1' : '0',
    HF_HOME: join(dir, 'home'),
  },
  ...{ HF_HUB_DISABLE_TELEMETRY: '1', HF_HUB_DISABLE_XET: '1', HF_HUB_DISABLE_PROGRESS_BARS: '1' },
})
const inPython = async (who, offline, code) => {
  const { stdout } = await run(python, ['-c', code], {
    env: { ...process.env, ...environment(who, offline) },
  })
  return stdout.trim().split('\n').at(-1)
}
const here = (who, offline) => Object.assign(process.env, environment(who, offline))

const loading = `
import torch, transformers
transformers.utils.logging.set_verbosity_error()
model = transformers.AutoModel.from_pretrained("owner/dinov2").eval()
size = transformers.AutoImageProcessor.from_pretrained("owner/dinov2").crop_size
print(sum(p.numel() for p in model.parameters()), sum(p.double().sum().item() for p in model.parameters()))`
const listing = `
import huggingface_hub
print(huggingface_hub.snapshot_download("owner/dinov2"))`

/** Files and links of what both must agree on. */
const tree = (who) => {
  const folder = join(cacheOf(who), 'models--owner--dinov2')
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => !/^(?:\.no_exist|trees)/.test(name) && !lstatSync(join(folder, name)).isDirectory())
    .sort()
    .map((name) => {
      const path = join(folder, name)
      return lstatSync(path).isSymbolicLink()
        ? `${name} -> ${readlinkSync(path)}`
        : `${name} ${server.sha256(readFileSync(path))}`
    })
}
const expect = (what, isRight) => {
  console.log(`${isRight ? 'right' : 'WRONG'}: ${what}`)
  if (!isRight) process.exitCode = 1
}

here('sherd', false)
await fetchModel('hf:owner/dinov2')
await inPython('transformers', false, loading)
await inPython('snapshot', false, listing)
const asked = hub.log.length
const [ours, theirs] = [await inPython('sherd', true, loading), await inPython('transformers', true, loading)]
expect(`transformers offline loads what sherd wrote (${ours})`, ours === theirs)
expect(
  'huggingface_hub offline gives the snapshot that sherd wrote',
  (await inPython('sherd', true, listing)) ===
    join(cacheOf('sherd'), 'models--owner--dinov2/snapshots', commit),
)
for (const who of ['transformers', 'snapshot']) {
  here(who, true)
  const { hub: name, files: found } = await findWeights({ model: 'hf:owner/dinov2' })
  expect(`sherd offline opens what ${who} wrote (${name})`, found[0]?.startsWith(cacheOf(who)))
  here(who, false)
  await findWeights({ model: 'hf:owner/dinov2' })
  expect(`the tree of ${who} is that of sherd`, tree(who).join('\n') === tree('sherd').join('\n'))
}
expect('none of this asked the hub', hub.log.length === asked)
if (process.exitCode) console.log(hub.log.slice(asked), tree('sherd'), tree('transformers'), tree('snapshot'))
await hub.close()
rmSync(dir, { recursive: true })
