/** Which other programs have a class for a classifier, said before it is trained. */
import { SherdError } from '../errors.ts'
import { headFor } from '../evaluate/finetune-settings.ts'
import { classifierRows, headsOf, type TrainedHeadName } from '../model/classifier.ts'
import type { OpenedEncoder } from '../weights/open-encoder.ts'
import { classifierClass } from './export-huggingface.ts'
import { timmFor } from './export-timm.ts'
import type { ExportedModel } from './exported-model.ts'

const programs: Readonly<Record<'transformers' | 'timm', (model: ExportedModel) => string>> = {
  transformers: classifierClass,
  timm: (model) => timmFor(model).row.name,
}

export interface ClassifierLayout {
  readonly program: keyof typeof programs
  /** The class that it has for the head; null for none. */
  readonly name: string | null
  /** The classes that it has for other heads on the encoder. */
  readonly others: readonly { readonly head: TrainedHeadName; readonly name: string }[]
}

/** A classifier that is not trained yet: its parameters have names and shapes alone. */
function plannedModel({ config, statistics, shape }: OpenedEncoder, head: TrainedHeadName): ExportedModel {
  const rows = classifierRows({ backbone: shape, classes: 2, head })
  return {
    ...{ config, statistics, dimensions: shape.dimensions, path: '', hasDecoder: false, step: null },
    arrays: new Map(rows.map(({ name, shape }) => [name, { shape, data: new Float32Array(0) }])),
    classifier: { head, classes: ['a', 'b'] },
    ...{ files: [], stored: new Map(), load: async () => new Map() },
  }
}

/** Null for a model that the program cannot hold. */
function nameIn(program: keyof typeof programs, model: ExportedModel): string | null {
  try {
    return programs[program](model)
  } catch (error) {
    if (error instanceof SherdError && error.code === 'USAGE') return null
    throw error
  }
}

/** None for an encoder of rasters, which no program takes. Throws `USAGE` for a head on what the encoder lacks. */
export function classifierLayouts(encoder: OpenedEncoder, asked: TrainedHeadName): ClassifierLayout[] {
  const head = headFor(encoder, { head: asked })
  if (encoder.config.data.kind === 'rasters') return []
  return (Object.keys(programs) as (keyof typeof programs)[]).map((program) => ({
    program,
    name: nameIn(program, plannedModel(encoder, head)),
    others: headsOf(encoder).flatMap((other) => {
      const name = other === head ? null : nameIn(program, plannedModel(encoder, other))
      return name === null ? [] : [{ head: other, name }]
    }),
  }))
}
