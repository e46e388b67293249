/** What a run starts from: its images, its facts, and whether it may go on where another one was stopped. */
import { resolve } from 'node:path'
import type { Config } from '../config/schema.ts'
import { SherdError } from '../errors.ts'
import type { MachinePlan } from '../machine/plan.ts'
import { fingerprint, type ImageSource } from '../source/open.ts'
import { engineBuild } from '../tensor/context.ts'
import { channelStatistics, openData } from './assemble.ts'
import { configDifferences } from './difference.ts'
import { expectUnused, openRun, type RunFacts } from './folder.ts'

export interface BeginOptions {
  readonly config: Config
  readonly preset: string
  readonly data: string | undefined
  readonly out: string
  /** Weights to begin with. */
  readonly init?: string | undefined
}

export interface Beginning {
  readonly source: ImageSource
  /** What was seen of the data that its user should know; complete when the facts are there. */
  readonly notes: readonly string[]
  /** Differences from the configuration that a resumed run had. */
  readonly changes: readonly string[]
  /** What `run.json` holds, measured now or read. */
  readonly facts: (machine: MachinePlan) => Promise<RunFacts>
}

/** A new run. Throws `USAGE`, `SOURCE`, `RUN`. */
export async function begin({ config, preset, data, out, init }: BeginOptions): Promise<Beginning> {
  if (!data)
    throw new SherdError(
      'USAGE',
      'A new run needs --data, a folder of images. "sherd sample-data" makes one to try.',
    )
  const source = await openData(config, data)
  expectUnused(out)
  const notes = [...(source.notes ?? [])]
  const facts = async (machine: MachinePlan): Promise<RunFacts> => {
    const { mean, std, low, high } = await channelStatistics(config, source, (note) => notes.push(note))
    return {
      format: 'sherd-run/1',
      preset,
      data: {
        dir: resolve(data),
        files: source.files.length,
        fingerprint: fingerprint(source),
        classes: [...source.classes],
      },
      statistics: { mean: [...mean], std: [...std], ...(low && high && { low: [...low], high: [...high] }) },
      ...(init !== undefined && { init: resolve(init) }),
      started: new Date().toISOString(),
      engine: { libtorch: engineBuild().version, ...machine },
    }
  }
  return { source, notes, changes: [], facts }
}

/** A run that was there before. Throws `RUN` with every difference that would make it another one. */
export async function goOn({ config, data, out }: Omit<BeginOptions, 'preset'>): Promise<Beginning> {
  const { config: before, facts } = openRun(out)
  const { free, fixed } = configDifferences(before, config)
  if (fixed.length > 0) {
    throw new SherdError(
      'RUN',
      `${out} cannot go on with another configuration:\n  ${fixed.join('\n  ')}\nStart a new run for it with another --out.`,
    )
  }
  const source = await openData(config, data ?? facts.data.dir)
  if (fingerprint(source) !== facts.data.fingerprint) {
    throw new SherdError(
      'RUN',
      `${source.dir} holds ${source.files.length} images that are not the ${facts.data.files} this run was started with. Restore them, or start a new run.`,
    )
  }
  return { source, notes: source.notes ?? [], changes: free, facts: async () => facts }
}
