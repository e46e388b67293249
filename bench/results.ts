/** What a run of the benchmark leaves: the numbers as JSON, and the same as tables for people and for the README. */
import { table } from '../src/cli/output.ts'
import type { MachineDescription } from '../src/machine/describe.ts'
import type { PeerWay } from './contest.ts'
import type { DataRow } from './data-rows.ts'
import type { EmbedRow } from './embed-row.ts'
import type { EncodeRow } from './encode-row.ts'
import type { ServeRow } from './serve-row.ts'
import type { StepRow } from './step-row.ts'
import type { TargetsRow } from './targets-row.ts'
import type { TokensRow } from './tokens-row.ts'
import type { WaitingRow } from './waiting-row.ts'

/** Every row once. */
export interface BenchRun {
  readonly started: string
  readonly steps: StepRow[]
  readonly data: DataRow[]
  readonly waiting: WaitingRow[]
  readonly tokens: TokensRow[]
  readonly targets: TargetsRow[]
  readonly encode: EncodeRow[]
  readonly embed: EmbedRow[]
  readonly serve: ServeRow[]
}

export interface Results {
  readonly date: string
  readonly device: 'cpu' | 'cuda'
  readonly machine: MachineDescription
  readonly threads: number
  readonly peer: string | null
  readonly rounds: number
  readonly runs: readonly BenchRun[]
  /** Rows that have no numbers here, and why. */
  readonly notRun: readonly { readonly name: string; readonly why: string }[]
}

const heads = [
  ...['work', 'sherd', 'PyTorch', 'ratio', 'rounds'],
  ...['memory, sherd / PyTorch', 'share of peak', 'type, sherd / PyTorch'],
]

const megabytes = (bytes: number | undefined) => (bytes === undefined ? '–' : (bytes / 1e6).toFixed(0))
const rate = (x: number | null | undefined) => (x == null ? '–' : `${x.toFixed(x < 100 ? 1 : 0)}/s`)
const ratio = (x: number | null) => (x === null ? '–' : `${x.toFixed(2)} ×`)
const cosine = (x: number) => `cosine ≥ ${(Math.floor(x * 1e4) / 1e4).toFixed(4)}`
const percent = (x: number | undefined) => (x === undefined ? '–' : `${(100 * x).toFixed(0)} %`)
const spread = (x: readonly number[]) =>
  x.length === 0 ? '–' : `${Math.min(...x).toFixed(2)}–${Math.max(...x).toFixed(2)}`

/** One line of text cells for each row. */
function cells({ steps, data, waiting, tokens, targets, encode, embed, serve }: BenchRun): string[][] {
  return [
    ...steps.map(({ work, sherd, peer, ratio: of, roundRatios }) => [
      work,
      rate(sherd.imagesPerSecond),
      rate(peer?.imagesPerSecond),
      ratio(of),
      spread(roundRatios),
      `${megabytes(sherd.peakBytes)} / ${megabytes(peer?.peakBytes)} MB${peer?.allocatedBytes === undefined ? '' : ` (allocated ${megabytes(peer.allocatedBytes)})`}`,
      `${percent(sherd.shareOfPeak)} / ${percent(peer?.shareOfPeak)}`,
      `${sherd.variant} / ${peer?.variant ?? '–'}`,
    ]),
    ...data.map((row) => [
      ...[row.work, rate(row.sherd), rate(row.peer), ratio(row.ratio), spread(row.roundRatios)],
      ...['', '', ''],
    ]),
    ...waiting.map((row) => [
      ...[row.work, `${(100 * row.waitingShare).toFixed(2)} %`, '–', '–', '', '', '', ''],
    ]),
    ...tokens.map((row) => [
      ...[row.work, rate(row.satmae), `MAE: ${rate(row.mae)}`, ratio(row.ratio), spread(row.roundRatios)],
      ...['', '', ''],
    ]),
    ...targets.map((row) => [
      ...[
        row.work,
        rate(row.imagesPerSecond),
        `MAE: ${rate(row.mae)}`,
        ratio(row.ratio),
        spread(row.roundRatios),
      ],
      row.teacherShare === null ? '' : `its teacher: ${percent(row.teacherShare)} of the step`,
      ...[row.isOfEqualTokens ? '' : 'other tokens', ''],
    ]),
    ...encode.map((row) => [
      ...[row.work, rate(row.sherd), row.beside === 'fp32' ? `fp32: ${rate(row.peer)}` : rate(row.peer)],
      ...[ratio(row.ratio), spread(row.roundRatios), '', '', cosine(row.cosine)],
    ]),
    ...embed.map((row) => [
      ...[row.work, rate(row.sherd), rate(row.peer), ratio(row.ratio), spread(row.roundRatios)],
      `quartiles ${row.quartiles.map((x) => x.toFixed(2)).join('–')}`,
      ...[`per CPU second: ${ratio(row.cpuRatio)}`, cosine(row.cosine)],
    ]),
    ...serve.map(({ work, server, bare, ratio: of, roundRatios, cpuRatio, clientsCpu }) => [
      ...[work, rate(server.imagesPerSecond), `graph alone: ${rate(bare.imagesPerSecond)}`, ratio(of)],
      ...[spread(roundRatios), `p50 ${server.p50} ms, p99 ${server.p99} ms`],
      ...[`per CPU second: ${ratio(cpuRatio)}`, `clients took ${percent(clientsCpu)} of a core`],
    ]),
  ]
}

type Rated = Extract<PeerWay, { imagesPerSecond: number }>
const NOISE = 1.05

/** How PyTorch was run, with the rate of each way, the best first: a table of its own, since it is what counted that must be seen. */
function peerWays({ steps, encode, embed }: BenchRun): string[][] {
  const said = (way: PeerWay) =>
    'failed' in way
      ? `${way.variant}: failed (${way.failed.trim().split('\n').at(-1)})`
      : `${way.variant}: ${rate(way.imagesPerSecond)}`
  const line = (work: string, best: Rated | null, others: readonly PeerWay[]) => {
    if (best === null) return others.length === 0 ? [] : [[work, 'none', others.map(said).join('; ')]]
    // A way was left out after one round that then was faster than the best: other programs were in the way of one of them.
    const isDisturbed = others.some(
      (way) => 'imagesPerSecond' in way && way.imagesPerSecond > NOISE * best.imagesPerSecond,
    )
    const note = isDisturbed ? ' (disturbed: measure it again)' : ''
    return [[work, `${said(best)}${note}`, others.map(said).join('; ') || '–']]
  }
  return [
    ...steps.flatMap(({ work, peer, peerOthers }) => line(work, peer, peerOthers)),
    ...[...encode, ...embed].flatMap(({ work, peer, peerVariant, peerOthers }) =>
      line(work, peerVariant && peer ? { variant: peerVariant, imagesPerSecond: peer } : null, peerOthers),
    ),
  ]
}

const wayHeads = ['work', 'PyTorch, the best', 'its other ways']

export const textTable = (run: BenchRun): string => table([heads, ...cells(run)], [1, 2, 3, 4, 5, 6])

/** A page: what it was measured on, a table for every run, what was not run. */
export function markdown({ date, machine, threads, peer, rounds, runs, notRun, device }: Results): string {
  const { cpu, cores, memoryGiB, bfloat16, gpu, libtorch, node } = machine
  const on = device === 'cuda' ? `${gpu}; ` : ''
  const row = (columns: readonly string[]) => `| ${columns.join(' | ')} |`
  const tables = runs.map((run, i) => {
    const peak = run.steps.at(-1)?.gemmGflops
    const products = peak
      ? ` Matrix products at their best: ${peak.float32.toFixed(0)} GFLOP/s in float32, ${peak.bfloat16.toFixed(0)} in bfloat16.`
      : ''
    const caption = `Run ${i + 1} of ${runs.length}, ${run.started}.${products}`
    const lines = [heads, heads.map(() => '---'), ...cells(run)]
    const ways = peerWays(run)
    const page = (rows: readonly (readonly string[])[]) => `${rows.map(row).join('\n')}\n`
    const besides =
      ways.length > 0
        ? `\nThe two fastest ways after one round ran in every round; the rest is from that one.\n\n${page([wayHeads, wayHeads.map(() => '---'), ...ways])}`
        : ''
    return `${caption}\n\n${page(lines)}${besides}`
  })
  const missing = notRun.map(({ name, why }) => `- \`${name}\`: ${why}`)
  return [
    `# sherd beside ${peer ?? 'nothing'}, ${date}\n`,
    `${on}${cpu}, ${cores} cores (${bfloat16 ?? 'no bfloat16 unit'}), ${memoryGiB} GiB, ${threads} threads; LibTorch ${libtorch}, Node.js ${node}. Medians of ${rounds} rounds, in turns.\n`,
    ...tables,
    ...(missing.length > 0 ? [`Not run:\n\n${missing.join('\n')}\n`] : []),
  ].join('\n')
}
