// The smallest runs that are still runs: a model of 19 thousand parameters on images of 16 × 16 pixels.
import { join } from 'node:path'
import { resolveConfig } from '../../src/config/resolve.ts'
import type { Config, ConfigInput } from '../../src/config/schema.ts'
import type { RunEvent } from '../../src/run/events.ts'
import { type PretrainOptions, pretrain } from '../../src/run/pretrain.ts'
import { writeSampleData } from '../../src/sample-data/write-scenes.ts'
import { folderOfFile } from '../after-file.ts'

export const workFolder = async (): Promise<string> => folderOfFile('sherd-run-')

/** Forty labelled images in a new folder. */
export async function sampleFolder(count = 40): Promise<string> {
  const dir = join(await workFolder(), 'images')
  await writeSampleData({ dir, count, size: 20, seed: 1 })
  return dir
}

export const tinyModel = {
  size: 'tiny',
  width: 32,
  depth: 1,
  heads: 2,
  imageSize: 16,
  patchSize: 4,
} as const satisfies ConfigInput['model']
export const tinyDecoder = { width: 16, depth: 1, heads: 2 } as const satisfies ConfigInput['decoder']

/** A configuration of the tiny model; each group adds to the tiny one's. */
export function tinyConfig(over: ConfigInput = {}): Config {
  return resolveConfig({
    ...over,
    model: { ...tinyModel, ...over.model },
    decoder: { ...tinyDecoder, ...over.decoder },
    optim: { baseLearningRate: 0.05, ...over.optim },
    train: { batchSize: 8, steps: 6, threads: 1, ...over.train },
    log: { pictureEverySteps: 0, ...over.log },
  })
}

type Given = Pick<PretrainOptions, 'config' | 'out'> & Partial<PretrainOptions>

/** Runs to the end, or up to the first event that `until` holds for. Returns the events. */
export async function run(given: Given, until = (_: RunEvent) => false): Promise<RunEvent[]> {
  const { signal } = new AbortController()
  const events: RunEvent[] = []
  for await (const event of pretrain({ preset: 'tiny', data: undefined, resume: false, signal, ...given })) {
    events.push(event)
    if (until(event)) break // as a crash would: nothing after this is written
  }
  return events
}
