import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import * as sherd from '../src/index.ts'
import { packageRoot } from '../src/package-root.ts'
import { sampleFolder, tinyDecoder, tinyModel, workFolder } from './run/tiny.ts'

it('the library holds what the commands are made of', () => {
  const folder = join(packageRoot(), 'src/cli')
  const imports = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .flatMap((name) => {
      const up = '../'.repeat(name.split('/').length)
      return [
        ...readFileSync(join(folder, name), 'utf8').matchAll(
          new RegExp(`const \\{([^}]*)\\} = await import\\(\\s*'${up}(?!\\.)`, 'g'),
        ),
      ]
    })
  const used = new Set(imports.flatMap(([, names]) => names!.split(',').map((name) => name.trim())))
  expect(used.size).toBeGreaterThan(15)
  expect([...used].filter((name) => !(name in sherd))).toEqual([])
})

it('the package leads to the library and to the command', () => {
  const manifest = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as {
    bin: { sherd: string }
    exports: { '.': { types: string; default: string } }
  }
  const { types, default: code } = manifest.exports['.']
  for (const path of [types, code, manifest.bin.sherd])
    expect(readFileSync(join(packageRoot(), path), 'utf8').length, path).toBeGreaterThan(100)
})

it('a run is one call', async () => {
  const [data, out] = [await sampleFolder(), join(await workFolder(), 'run')]

  const config = sherd.resolveConfig({
    ...{ model: tinyModel, decoder: tinyDecoder },
    train: { batchSize: 8, steps: 3, threads: 1 },
  })
  const { signal } = new AbortController()
  const losses: number[] = []
  for await (const event of sherd.pretrain({ config, preset: 'mine', data, out, resume: false, signal }))
    if (event.kind === 'step') losses.push(event.loss)
  const { step, parameters } = await sherd.loadModel(out, 'cpu')

  expect([losses.length, step]).toEqual([3, 3])
  expect(losses.every(Number.isFinite)).toBe(true)
  expect(parameters.size).toBe(36)
})

it('the pieces of a run fit together by hand, in twenty lines', async () => {
  const dir = await sampleFolder()

  const { device, precision, decodeThreads } = sherd.planMachine({
    device: 'cpu',
    precision: 'fp32',
    threads: 1,
    workers: 1,
  })
  const source = await sherd.openImageFolder(dir)
  const statistics = await sherd.measureStatistics(source, { height: 16, width: 16, channels: 3, minSide: 4 })
  const { size: _, imageSize: side, patchSize, ...rest } = tinyModel
  const dimensions = {
    ...rest,
    imageSize: [side, side],
    patchSize: [patchSize, patchSize],
    channels: 3,
    mlpRatio: 4,
    layerNormEpsilon: 1e-6,
  } as const
  const objective = sherd.mae({
    ...{ dimensions, decoder: { width: 16, depth: 1, heads: 2 } },
    ...{ maskRatio: 0.75, device },
  })
  const parameters = sherd.initialParameters(objective.rows, { seed: 0, device })
  const adamW = { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0.05, clipGradientNorm: 1 }
  const update = sherd.updateOf(adamW)
  const trainee: sherd.Trainee = {
    objective,
    parameters,
    optimizer: update.optimizer,
    state: sherd.initialState(update.optimizer, parameters),
    ...{ groups: [], clip: update.clip ?? null, seed: 0, device, precision },
  }
  const loader = sherd.openLoader({
    ...{ source, height: side, width: side, channels: 3, minSide: 4, maxPixels: 1e8, maxSkippedShare: 0.01 },
    ...{ crop: 'random', scale: [0.2, 1], ratio: [0.75, 4 / 3], flip: true, seed: 0, firstPosition: 0 },
    ...{ batchSize: 8, decodeThreads, prefetchBatches: 2 },
  })
  const events = sherd.train({
    ...{ trainee, loader, accumulate: 1, firstStep: 0, samples: source.files.length },
    toDeviceBatch: (batch) => sherd.toViews(batch, objective.views, { statistics, device }),
    schedules: {
      learningRate: { kind: 'cosine', from: 1e-3, to: 0 },
      weightDecay: { kind: 'constant', value: 0.05 },
    },
    totalSteps: 3,
    signal: new AbortController().signal,
  })
  const losses: number[] = []
  for await (const { loss } of events) losses.push(loss)
  await loader.close()

  expect(losses).toHaveLength(3)
  // Predicting the mean scores 1 under normalised targets; a fresh model adds its own noise to that.
  for (const loss of losses) expect(Math.abs(loss - 1.3)).toBeLessThan(0.5)
})
