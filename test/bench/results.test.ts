import { describe, expect, it } from 'vitest'
import { type BenchRun, markdown, type Results, textTable } from '../../bench/results.ts'

const side = (variant: string, imagesPerSecond: number, peakBytes: number) => ({
  ...{ variant, imagesPerSecond, peakBytes, medianStepSeconds: 128 / imagesPerSecond },
  ...{ modelTflops: 0.2, shareOfPeak: imagesPerSecond / 400, seconds: [1] },
})
const gemmGflops = { float32: 188.4, bfloat16: 409 }
const run: BenchRun = {
  started: '2026-01-01T00:00:00.000Z',
  steps: [
    {
      ...{
        name: 'tiny',
        work: 'ViT-Tiny',
        batch: 128,
        gemmGflops,
        peerOthers: [
          side('eager fp32, plain attention', 120, 1e9),
          { variant: 'compiled fp32', failed: 'Error: a\nno compiler' },
        ],
        ratio: 1.25,
        roundRatios: [1.2, 1.3],
      },
      ...{ sherd: side('bf16', 200, 9e8), peer: side('fp32', 160, 1e9) },
    },
    {
      ...{
        name: 'alone',
        work: 'no peer',
        batch: 1,
        gemmGflops,
        peerOthers: [],
        ratio: null,
        roundRatios: [],
      },
      ...{ sherd: side('bf16', 4.56, 9e8), peer: null },
    },
  ],
  data: [{ work: 'JPEG', sherd: 500, peer: null, ratio: null, roundRatios: [] }],
  waiting: [{ work: 'waiting', steps: 60, waitingShare: 0.0123, imagesPerSecond: 1 }],
  serve: [
    {
      ...{
        work: 'serve',
        clients: 64,
        ratio: 0.9,
        roundRatios: [0.85, 0.95],
        cpuRatio: 0.97,
        clientsCpu: 0.04,
      },
      bare: { imagesPerSecond: 60, imagesPerCpuSecond: 31, batch: 16 },
      server: { imagesPerSecond: 54, imagesPerCpuSecond: 30, p50: 1100, p99: 1300 },
    },
  ],
  tokens: [{ work: 'tokens', satmae: 90, mae: 100, ratio: 0.9, roundRatios: [0.88, 0.92] }],
  targets: [
    {
      ...{ work: 'features', imagesPerSecond: 80, mae: 100, ratio: 0.8, roundRatios: [0.79, 0.81] },
      ...{ teacherShare: 0.2, isOfEqualTokens: true },
    },
  ],
  encode: [
    {
      ...{
        work: 'encoder, ONNX int8',
        beside: 'fp32',
        sherd: 30,
        peer: 12,
        cosine: 0.99951,
        peerVariant: null,
        peerOthers: [],
      },
      ...{ ratio: 2.5, roundRatios: [2.4, 2.6] },
    },
  ],
  embed: [
    {
      ...{ work: 'embedding', sherd: 30, peer: 20, peerVariant: 'sdpa attention', peerOthers: [] },
      ...{
        ratio: 1.5,
        roundRatios: [1.4, 1.5, 1.9],
        quartiles: [1.45, 1.7],
        cpuRatio: 1.52,
        cosine: 0.99993,
      },
    },
  ],
}
const results: Results = {
  ...{ date: '2026-01-01', device: 'cpu', threads: 2, peer: 'PyTorch 2', rounds: 2, runs: [run, run] },
  machine: {
    ...{ cpu: 'CPU', cores: 2, memoryGiB: 8, bfloat16: null, gpu: null, libtorch: '2.6.0', node: '20' },
  },
  notRun: [{ name: 'large-gpu', why: 'needs --device cuda' }],
}

describe('the results', () => {
  it('have a line for every row, and a dash where there is nothing to compare with', () => {
    const lines = textTable(run).split('\n')
    expect(lines).toHaveLength(10)
    expect(lines[1]).toMatch(
      /^ViT-Tiny +200\/s +160\/s +1\.25 × +1\.20–1\.30 +900 \/ 1000 MB +50 % \/ 40 % +bf16 \/ fp32$/,
    )
    expect(lines[2]).toMatch(/^no peer +4\.6\/s +– +– +– +900 \/ – MB +1 % \/ – +bf16 \/ –$/)
    expect(lines[4]).toMatch(/^waiting +1\.23 %/)
    expect(lines[5]).toMatch(/^tokens +90\.0\/s +MAE: 100\/s +0\.90 × +0\.88–0\.92/)
    expect(lines.at(-1)).toMatch(
      /^serve +54\.0\/s +graph alone: 60\.0\/s +0\.90 × +0\.85–0\.95 +p50 1100 ms, p99 1300 ms/,
    )
    expect(lines[6]).toMatch(
      /^features +80\.0\/s +MAE: 100\/s +0\.80 × +0\.79–0\.81 +its teacher: 20 % of the step/,
    )
    expect(lines[7]).toMatch(
      /^encoder, ONNX int8 +30\.0\/s +fp32: 12\.0\/s +2\.50 × +2\.40–2\.60 +cosine ≥ 0\.9995$/,
    )
  })

  it('say how far the rounds are apart where a row has quartiles', () => {
    expect(textTable(run)).toMatch(
      /^embedding +30\.0\/s +20\.0\/s +1\.50 × +1\.40–1\.90 +quartiles 1\.45–1\.70 +per CPU second: 1\.52 × +cosine ≥ 0\.9999$/m,
    )
    expect(markdown(results)).toContain('| embedding | sdpa attention: 20.0/s | – |')
  })

  it('as a page repeat the table for every run and say what was not run', () => {
    const page = markdown(results)
    expect(page.match(/^\| ViT-Tiny \| 200\/s \| 160\/s \| 1\.25 × \|/gm)).toHaveLength(2)
    expect(page).toContain('Run 2 of 2, 2026-01-01T00:00:00.000Z. Matrix products at their best: 188 GFLOP/s')
    expect(page).toContain(
      '| ViT-Tiny | fp32: 160/s | eager fp32, plain attention: 120/s; compiled fp32: failed (no compiler) |',
    )
    expect(page).not.toContain('| no peer | none')
    const [row] = run.steps
    const faster = { ...row!, peerOthers: [side('compiled fp32', 170, 1e9)] }
    expect(markdown({ ...results, runs: [{ ...run, steps: [faster] }] })).toContain(
      '| ViT-Tiny | fp32: 160/s (disturbed: measure it again) | compiled fp32: 170/s |',
    )
    expect(page).toContain('Not run:\n\n- `large-gpu`: needs --device cuda')
  })
})
