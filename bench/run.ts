/**
 * `npm run bench`: sherd beside PyTorch on this machine, in turns within one run, with the same threads. Prints a table and
 * writes bench/results/<date>-<device>.json and .md. `npm run bench -- --rounds 3 --only tiny` for less, `--device cuda` for
 * the GPU's rows (`--batch N` instead of the largest that fits), `--runs 3` to see how far a whole table repeats; `--before DIR`
 * times another build of sherd instead of PyTorch.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { coreCount } from '../src/machine/hardware.ts'
import { packageRoot } from '../src/package-root.ts'
import { buildsWorks, compareBuilds } from './builds.ts'
import { measureData } from './data-rows.ts'
import { bestOf, measureDevice } from './device.ts'
import { measureEmbedding } from './embed-row.ts'
import { measureEncoders } from './encode-row.ts'
import { findPeer, peerTitle } from './peer.ts'
import { type BenchRun, markdown, type Results, textTable } from './results.ts'
import { measureServe } from './serve-row.ts'
import { measureStep } from './step-row.ts'
import { measureTargets } from './targets-row.ts'
import { measureTokens } from './tokens-row.ts'
import { measureWaiting } from './waiting-row.ts'
import { works } from './works.ts'

const { values } = parseArgs({
  options: {
    before: { type: 'string' },
    rounds: { type: 'string' },
    runs: { type: 'string', default: '1' },
    steps: { type: 'string' },
    batch: { type: 'string' },
    only: { type: 'string', multiple: true, default: [] },
    way: { type: 'string', multiple: true, default: [] },
    device: { type: 'string', default: 'cpu' },
    out: { type: 'string', default: join(packageRoot(), 'bench/results') },
  },
})
const [rounds, runs] = [Number(values.rounds ?? (values.before === undefined ? 5 : 15)), Number(values.runs)]
const steps = values.steps === undefined ? null : Number(values.steps)
const batch = values.batch === undefined ? null : Number(values.batch)
const kind = values.device === 'cuda' ? 'cuda' : 'cpu'
const threads = coreCount()

const names =
  values.before === undefined
    ? [...works.map(({ name }) => name), 'data', 'tokens', 'targets', 'waiting', 'encode', 'embed', 'serve']
    : buildsWorks.map(({ name }) => name)
const unknown = values.only.find((name) => !names.includes(name))
if (unknown || ![rounds, runs, steps ?? 1, batch ?? 1].every((n) => Number.isInteger(n) && n > 0)) {
  console.error(
    unknown
      ? `bench: no row "${unknown}"; there are ${names.join(', ')}`
      : 'bench: --rounds, --runs, --steps and --batch are whole numbers of at least 1',
  )
  process.exit(2)
}
const isChosen = (name: string) => values.only.length === 0 || values.only.includes(name)
const say = (line: string) => console.error(`bench: ${line}`)

if (values.before !== undefined) {
  const { before, out } = values
  process.exit((await compareBuilds({ before, rounds, isChosen, out, say })) ? 0 : 1)
}
const notRun = names.flatMap((name) => {
  const other = works.some((work) => work.name === name && work.device !== kind)
  if (other) return [{ name, why: kind === 'cpu' ? 'needs --device cuda' : 'a row of the CPU' }]
  if ((name === 'encode' || name === 'embed') && kind === 'cuda') return [{ name, why: 'a row of the CPU' }]
  return isChosen(name) ? [] : [{ name, why: 'not chosen' }]
})

const peer = findPeer()
let device = measureDevice(kind, threads)
const { machine } = device
const date = new Date().toISOString().slice(0, 10)
const finished: BenchRun[] = []
const results: Results = {
  ...{ date, device: kind, machine, threads },
  peer: peer && peerTitle(peer),
  ...{ rounds, runs: finished, notRun },
}
const slug = (kind === 'cuda' ? (machine.gpu ?? 'gpu') : `${machine.cpu} ${threads} cores`)
  .toLowerCase()
  .replace(/[^a-z0-9]+/g, '-')
  .replace(/^-|-$/g, '')
const part = values.only.map((name) => `-${name}`).join('') // never in the place of a whole table
const path = join(values.out, `${date}-${slug}${part}`)
/** After every row, so that a benchmark that is stopped keeps what it measured. */
function save(): void {
  mkdirSync(values.out, { recursive: true })
  writeFileSync(`${path}.json`, `${JSON.stringify(results, null, 2)}\n`)
  writeFileSync(`${path}.md`, markdown(results))
}

say(`${machine.gpu ?? machine.cpu}, ${threads} threads, ${results.peer ?? 'no peer'}`)
for (let run = 0; run < runs; run++) {
  const table: BenchRun = {
    started: new Date().toISOString(),
    steps: [],
    data: [],
    waiting: [],
    tokens: [],
    targets: [],
    encode: [],
    embed: [],
    serve: [],
  }
  finished.push(table)
  for (const work of works.filter((each) => each.device === kind && isChosen(each.name))) {
    say(`${work.title} …`)
    device = bestOf(device, measureDevice(kind, threads))
    table.steps.push(
      await measureStep(work, { peer, device, threads, rounds, steps, batch, ways: values.way }),
    )
    save()
  }
  if (isChosen('data')) {
    say('preparing images …')
    table.data.push(...(await measureData(peer, rounds)))
    save()
  }
  if (isChosen('tokens')) {
    say('tokens of groups …')
    table.tokens.push(await measureTokens(kind, { rounds, steps: steps ?? 4 }))
    save()
  }
  if (isChosen('targets')) {
    say('targets, masks and decoders …')
    table.targets.push(...(await measureTargets(kind, { rounds, steps: steps ?? 2, only: values.way })))
    save()
  }
  if (isChosen('waiting')) {
    say('waiting for data …')
    table.waiting.push(await measureWaiting(kind, steps === null ? 60 : Math.max(8, steps)))
    save()
  }
  if (isChosen('encode') && kind === 'cpu') {
    table.encode.push(...(await measureEncoders({ peer, rounds, threads, say })))
    save()
  }
  if (isChosen('embed') && kind === 'cpu') {
    const rows = peer && (await measureEmbedding({ peer, rounds, threads, say }))
    if (rows) table.embed.push(...rows)
    else if (run === 0) notRun.push({ name: 'embed', why: 'no python3 with transformers' })
    save()
  }
  if (isChosen('serve') && kind === 'cpu') {
    say('a server under load …')
    table.serve.push(await measureServe(threads, rounds))
    save()
  }
  console.log(textTable(table))
}
say(`written to ${path}.json and .md`)
