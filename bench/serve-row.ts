/**
 * How much of an encoder's speed is left when it is asked over HTTP: ViT-Small/8 on JPEG files of the model's size, 64 clients, beside
 * the same graph on prepared pixels. The clients need processor time, too, and there is only one machine: so the row also
 * tells images for each second of processor time, of the server alone.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import autocannon from 'autocannon'
import { presetOf } from '../src/config/presets.ts'
import { resolveConfig } from '../src/config/resolve.ts'
import { exportOnnx } from '../src/export/export-onnx.ts'
import { openSession } from '../src/onnx/session.ts'
import { packageRoot } from '../src/package-root.ts'
import { writeSampleData } from '../src/sample-data/write-scenes.ts'
import { openEncoder } from '../src/weights/open-encoder.ts'
import { median } from './median.ts'

interface Rate {
  readonly imagesPerSecond: number
  /** Of the process that computes. */
  readonly imagesPerCpuSecond: number
}

export interface ServeRow {
  readonly work: string
  readonly clients: number
  /** The graph alone, in its best batch, by the better of both ways of waiting. */
  readonly bare: Rate & { readonly batch: number }
  readonly server: Rate & { readonly p50: number; readonly p99: number }
  /** Of images a second, the median of the rounds. */
  readonly ratio: number
  readonly roundRatios: readonly number[]
  /** Of images for each second of processor time, which clients and other work do not touch. */
  readonly cpuRatio: number
  /** Share of a core that the clients took. */
  readonly clientsCpu: number
}

const CLIENTS = 64
const SIZE = 64
const SECONDS = 6 // of a round, about

async function exportSmall(out: string): Promise<string> {
  const config = resolveConfig(presetOf('mae-small-64').config)
  const model = await openEncoder({ model: 'random', config, device: 'cpu' })
  for await (const { file } of exportOnnx({ model, out, precisions: ['fp32'] })) return file
  throw new Error('nothing was exported')
}

/** Runs the graph for `seconds` on samples that are there already. */
async function bareRound(
  run: (batch: number) => Promise<unknown>,
  batch: number,
  seconds: number,
): Promise<Rate> {
  const [begun, cpu] = [performance.now(), process.cpuUsage()]
  let images = 0
  while (performance.now() - begun < 1000 * seconds) {
    await run(batch)
    images += batch
  }
  const { user, system } = process.cpuUsage(cpu)
  return {
    imagesPerSecond: (1000 * images) / (performance.now() - begun),
    imagesPerCpuSecond: (1e6 * images) / (user + system),
  }
}

async function startServer(model: string, threads: number): Promise<{ child: ChildProcess; url: string }> {
  const launcher = join(packageRoot(), 'dist/src/cli/bin.cjs')
  const args = [launcher, 'serve', '--model', model, '--port', '0', '--threads', String(threads), '--json']
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const { value } = await createInterface({ input: child.stdout! })[Symbol.asyncIterator]().next()
  return { child, url: (JSON.parse(value as string) as { url: string }).url }
}

/** Processor time that a server has taken, in seconds. */
async function cpuOf(url: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text()
  return Number(/^process_cpu_seconds_total (\S+)$/m.exec(text)?.[1])
}

async function servedRound(url: string, bodies: readonly Uint8Array[], amount: number) {
  const [before, own, begun] = [await cpuOf(url), process.cpuUsage(), performance.now()]
  const made = await autocannon({
    ...{ url, connections: CLIENTS, amount, timeout: 300 },
    requests: bodies.map((body) => ({
      ...{ method: 'POST' as const, path: '/v1/embed?format=npy', body },
      headers: { 'content-type': 'image/jpeg' },
    })),
  })
  const seconds = (performance.now() - begun) / 1000
  const { user, system } = process.cpuUsage(own)
  if (made.non2xx + made.errors + made.timeouts > 0)
    throw new Error(`${made.non2xx} requests were refused, ${made.errors + made.timeouts} failed`)
  const images = made['2xx']
  return {
    imagesPerSecond: images / seconds,
    imagesPerCpuSecond: images / ((await cpuOf(url)) - before),
    ...{ p50: made.latency.p50, p99: made.latency.p99 },
    clientsCpu: (user + system) / 1e6 / seconds,
  }
}

export async function measureServe(threads: number, rounds: number): Promise<ServeRow> {
  const dir = mkdtempSync(join(tmpdir(), 'sherd-bench-'))
  try {
    const model = await exportSmall(join(dir, 'model'))
    const data = join(dir, 'images')
    await writeSampleData({ dir: data, count: 64, size: SIZE, seed: 0 })
    const files = readdirSync(data, { recursive: true, encoding: 'utf8' }).filter((name) =>
      /\.jpe?g$/.test(name),
    )
    const bodies = files.map((name) => readFileSync(join(data, name)))
    // Waiting threads that spin are fastest on a quiet machine, and the dearest beside other work: the graph alone is measured both ways.
    const sessions = await Promise.all([true, false].map((spin) => openSession(model, { threads, spin })))
    const runs = sessions.map((session) => (batch: number) => {
      const values = new Float32Array(batch * 3 * SIZE * SIZE).fill(127)
      return session.run({ values, shape: [batch, 3, SIZE, SIZE] }, ['mean'])
    })
    for (const run of runs) await run(8)
    let [batch, best] = [0, 0]
    for (const each of [8, 16, 32]) {
      const { imagesPerSecond } = await bareRound(runs[0]!, each, 1)
      if (imagesPerSecond > best) [batch, best] = [each, imagesPerSecond]
    }
    const { child, url } = await startServer(model, threads)
    const bare: Rate[][] = runs.map(() => [])
    const served: Awaited<ReturnType<typeof servedRound>>[] = []
    try {
      // Whole: what 64 clients have begun is waited for, and so counted.
      const amount = CLIENTS * Math.max(4, Math.round((SECONDS * best) / CLIENTS))
      await servedRound(url, bodies, CLIENTS) // warms up
      for (let round = 0; round < rounds; round++) {
        for (const [i, run] of runs.entries()) bare[i]!.push(await bareRound(run, batch, SECONDS))
        served.push(await servedRound(url, bodies, amount))
      }
    } finally {
      child.kill('SIGTERM')
      await once(child, 'exit')
    }
    for (const session of sessions) await session.close()
    const middle = <T>(list: readonly T[], of: (each: T) => number) => median(list.map(of))
    const bestOf = (lists: readonly (readonly Rate[])[], of: (each: Rate) => number) =>
      Math.max(...lists.map((list) => middle(list, of)))
    const rateOf = (lists: readonly (readonly Rate[])[]): Rate => ({
      imagesPerSecond: bestOf(lists, (each) => each.imagesPerSecond),
      imagesPerCpuSecond: bestOf(lists, (each) => each.imagesPerCpuSecond),
    })
    const [alone, overHttp] = [rateOf(bare), rateOf([served])]
    // Of neighbours in time: other work may have come or gone between rounds.
    const roundRatios = served.map(
      (each, i) => each.imagesPerSecond / Math.max(...bare.map((list) => list[i]!.imagesPerSecond)),
    )
    return {
      work: `serve: ViT-Small/8 on JPEG files of ${SIZE} × ${SIZE}, ${CLIENTS} clients`,
      clients: CLIENTS,
      bare: { ...alone, batch },
      server: { ...overHttp, p50: middle(served, ({ p50 }) => p50), p99: middle(served, ({ p99 }) => p99) },
      ratio: median(roundRatios),
      roundRatios,
      cpuRatio: overHttp.imagesPerCpuSecond / alone.imagesPerCpuSecond,
      clientsCpu: middle(served, ({ clientsCpu }) => clientsCpu),
    }
  } finally {
    rmSync(dir, { recursive: true })
  }
}
