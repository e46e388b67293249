/** The folder of a report as a claim (files/claim.ts): the same request continues what was begun in it, or finds it done. */
import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fittingOf } from '../config/assemble.ts'
import { SherdError } from '../errors.ts'
import { claimed, type Draft, expectFree } from '../files/claim.ts'
import { fingerprintOf } from '../files/fingerprint.ts'
import { sealOfModel } from '../weights/found-weights.ts'
import { type EncoderRequest, findWeights } from '../weights/open-encoder.ts'
import type { EvaluationData } from './evaluation-data.ts'

export interface ReportRequest {
  readonly out: string
  readonly overwrite?: boolean | undefined
  /** A file of weights that is written, too. */
  readonly save?: string | undefined
  /** Such as `evaluate linear`. */
  readonly command: string
  readonly encoder: EncoderRequest
  readonly data: EvaluationData
  /** What changes the result besides the weights, the images and how they are read. */
  readonly options: Readonly<Record<string, unknown>>
  /** Of the reports, below `out`; default: itself. */
  readonly folders?: readonly string[]
}

const REPORT = 'report.json'

/** Where work is kept, and where its reports are written. */
export type ReportDraft = Pick<Draft<unknown>, 'dir' | 'state' | 'fileFor'>

/** Makes reports by `work`, or reads those that the same request has made. Throws as `claim`, and `USAGE` where `save` is in the way, or missing. */
export async function claimReports<T>(
  { out, overwrite, save, command, encoder, data, options, folders = ['.'] }: ReportRequest,
  work: (draft: ReportDraft) => Promise<readonly T[]>,
): Promise<{ readonly reports: readonly T[]; readonly wasThere: boolean }> {
  const found = await findWeights(encoder)
  const model = sealOfModel(found) || 'random'
  const { config, seed, bands, precision, reading = {} } = encoder
  const paths = { train: data.train, test: data.test, validation: data.validation }
  const inputs = Object.entries(paths).flatMap(([name, path]) => (path ? [[name, fingerprintOf(path)]] : []))
  const made = {
    command,
    options: {
      ...{ ...options, bands, precision, maxPixels: reading.maxPixels, corrupt: reading.corrupt },
      imageSize: found.imageSize,
      maxPatches: fittingOf(found.config)?.budget?.most,
      // A random encoder is what its configuration says; other weights say themselves what they are.
      ...(found.files.length === 0 && { config, modelSeed: seed }),
      save: save && resolve(save),
    },
    inputs: { ...Object.fromEntries(inputs), model },
  }
  let reports: readonly T[] = []
  const isResult = (dir: string) => folders.some((name) => existsSync(join(dir, name, REPORT)))
  const request = { out, kind: 'folder', made, overwrite, continues: true, isResult } as const
  const { wasThere } = await claimed(request, async (draft) => {
    // What an interrupted attempt of the same request has saved is its own.
    if (save !== undefined && draft.state === 'new') expectFree(save, overwrite)
    reports = await work(draft)
    return { folders }
  })
  if (wasThere && save !== undefined && !existsSync(save))
    throw new SherdError(
      'USAGE',
      `${resolve(out)} is there already, but ${resolve(save)}, which belongs to it, is not: make both again with --overwrite.`,
    )
  if (wasThere)
    reports = folders.map((name) => JSON.parse(readFileSync(join(out, name, REPORT), 'utf8')) as T)
  return { reports, wasThere }
}
