/** Begins or resumes a run: images, facts, and whether the configuration allows resuming. */
import { resolve } from 'node:path'
import { expectUnused, openRun, type RunFacts, runPaths } from '../checkpoint/run-folder.ts'
import { channelStatistics, completed, openData } from '../config/assemble.ts'
import type { Config } from '../config/schema.ts'
import { SherdError } from '../errors.ts'
import type { MachinePlan } from '../machine/plan.ts'
import { fingerprint, type ImageSource } from '../source/open.ts'
import { engineBuild } from '../tensor/context.ts'
import { locate } from '../weights/frozen-model.ts'
import { fitBatch } from './batch-size.ts'
import { configDifferences } from './config-difference.ts'
import { expectContinues, findDonor } from './donor.ts'
import { readSkipped } from './journal.ts'

export interface BeginOptions {
  readonly config: Config
  readonly preset: string
  /** The folder of images, or of packed ones; a resumed run may leave it out. */
  readonly data: string | undefined
  /** The run's folder. */
  readonly out: string
  /**
   * Weights to begin a new run with: a run, a checkpoint, a file or folder of a published encoder, an adapter, or `hf:owner/name`; of other bands,
   * they are inflated.
   */
  readonly init?: string | undefined
  /** Resume although the list of files has changed, and record it. */
  readonly acceptDataChange?: boolean | undefined
  /** Replaces the run in `out`, which is removed once the new one has taken its first step. */
  readonly overwrite?: boolean | undefined
}

export interface Beginning {
  /** With the batch size fitted to the data. */
  readonly config: Config
  readonly source: ImageSource
  /** Notes about the data; complete once `facts` has resolved. */
  readonly notes: readonly string[]
  /** Changes from the configuration of the resumed run. */
  readonly changes: readonly string[]
  /** For `run.json`, measured now or read. */
  readonly facts: (machine: MachinePlan) => Promise<RunFacts>
  /** Whether the files of a resumed run changed, which is recorded in `run.json`. */
  readonly isDataChanged: boolean
}

/** A new run. Throws `USAGE`, `SOURCE`, `RUN`. */
export async function begin({
  config: asked,
  preset,
  data,
  out,
  init,
  overwrite = false,
}: BeginOptions): Promise<Beginning> {
  if (!data)
    throw new SherdError(
      'USAGE',
      'A new run needs --data, a folder of images. "sherd sample-data" makes one to try.',
    )
  if (asked.adapt.kind !== 'none' && init === undefined)
    throw new SherdError(
      'USAGE',
      `adapt.kind=${asked.adapt.kind} keeps the weights that --init gives, and there is none: name a run or a .safetensors file.`,
    )
  if ((asked.optim.freezeEncoderSteps ?? 0) > 0 && init === undefined)
    throw new SherdError(
      'USAGE',
      `optim.freezeEncoderSteps=${asked.optim.freezeEncoderSteps} keeps the encoder that --init gives, and there is none.`,
    )
  const donor = init === undefined ? null : await findDonor(init, asked)
  if (donor) expectContinues(asked, donor)
  const given = await completed(asked, locate)
  const source = await openData(given, data)
  if (!overwrite) expectUnused(out)
  const { config, note } = fitBatch(given, source.files.length)
  const dropout = donor?.found?.adapterDropout ?? 0
  const notes = [
    ...(source.notes ?? []),
    ...(note === null ? [] : [note]),
    ...(dropout > 0 ? [withoutDropout(donor!.name, dropout)] : []),
  ]
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
      ...(donor && { init: donor.name, initSha256: donor.seal() }),
      started: new Date().toISOString(),
      engine: { libtorch: engineBuild().version, ...machine },
    }
  }
  return { config, source, notes, changes: [], facts, isDataChanged: false }
}

/** Adapters are added to the weights, and a sum has no input of its own that could be dropped. */
const withoutDropout = (name: string, dropout: number): string =>
  `${name} was trained with lora_dropout ${dropout}, which sherd has not: the adapter is added to its base, and training continues without dropout.`

/** A run that was there before. Throws `RUN` with every difference that would make it another one. */
export async function resumeRun({
  config: given,
  data,
  out,
  acceptDataChange = false,
}: Omit<BeginOptions, 'preset'>): Promise<Beginning> {
  const { config: before, facts, latest } = openRun(out)
  const { config } = fitBatch(await completed(given, locate), facts.data.files) // as it was when the run began
  const { free, data: refusing, fixed } = configDifferences(before, config)
  if (fixed.length > 0) {
    throw new SherdError(
      'RUN',
      `${out} cannot continue with another configuration:\n  ${fixed.join('\n  ')}\nStart a new run for it with another --out.`,
    )
  }
  if (refusing.length > 0 && !acceptDataChange)
    throw new SherdError(
      'RUN',
      `${out} would learn from other files with\n  ${refusing.join('\n  ')}\nIf that is intended, continue with --resume --accept-data-change.`,
    )
  const source = await openData(config, data ?? facts.data.dir)
  const notes = source.notes ?? []
  const changes = [...free, ...refusing]
  const was = { files: facts.data.files, fingerprint: facts.data.fingerprint }
  const now = { files: source.files.length, fingerprint: fingerprint(source) }
  if (now.fingerprint === was.fingerprint)
    return { config, source, notes, changes, facts: async () => facts, isDataChanged: false }
  if (!acceptDataChange) throw otherFiles(source, out, was)
  const change = { time: new Date().toISOString(), step: latest?.step ?? 0, before: was, after: now }
  const newFacts: RunFacts = {
    ...facts,
    data: { dir: source.dir, ...now, classes: [...source.classes] },
    dataChanges: [...(facts.dataChanges ?? []), change],
  }
  changes.push(`the list of files: ${was.files} → ${now.files} (${was.fingerprint} → ${now.fingerprint})`)
  return { config, source, notes, changes, facts: async () => newFacts, isDataChanged: true }
}

/** The error for a folder with other files than the run had, with what to do where they are what it refused. */
function otherFiles(
  source: ImageSource,
  out: string,
  was: { files: number; fingerprint: string },
): SherdError {
  const refused = readSkipped(runPaths(out).skipped).map(({ file }) => file)
  const there = new Set(source.files)
  const gone = refused.filter((file) => !there.has(file))
  const isAll =
    gone.length > 0 &&
    fingerprint({ kind: 'images', files: [...source.files, ...gone].sort() }) === was.fingerprint
  const what = isAll
    ? `${gone.length} files that this run could not use are gone from ${source.dir}, and all others are there.`
    : `${source.dir} holds ${source.files.length} images that are not the ${was.files} this run was started with.`
  return new SherdError(
    'RUN',
    `${what} To continue with the current files, add --accept-data-change: the weights stay, the order of images is drawn from the new list, and run.json says so. Else restore the files, or start a new run.`,
  )
}
