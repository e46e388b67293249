/** One operator of a view with its options, as it is drawn for a sample or stands in a reference file. The decoding thread takes the types alone: zod adds 50 ms to its start. */
import { z } from 'zod'

const step = <Name extends string, Options extends z.ZodRawShape>(name: Name, options: Options) =>
  z.strictObject({ operator: z.literal(name), ...options })

const factor = z.number().min(0).max(1e6)
const sigma = z.number().min(0).max(1000)
const side = z.int().min(1).max(65_535)
const offset = z.int().min(0).max(65_535)
const odd = z
  .int()
  .min(1)
  .max(999)
  .refine((size) => size % 2 === 1, 'a kernel has an odd size')

/** The options of each. */
export const stepSchemas = {
  brightness: step('brightness', { factor }),
  contrast: step('contrast', { factor }),
  saturation: step('saturation', { factor }),
  hue: step('hue', { factor: z.number().min(-0.5).max(0.5) }),
  greyscale: step('greyscale', {}),
  solarise: step('solarise', { threshold: z.number().min(0).max(256).default(128) }),
  blurPillow: step('blurPillow', { radius: sigma }),
  blurTorchvision: step('blurTorchvision', { kernelSize: z.tuple([odd, odd]), sigma: sigma.gt(0) }),
  flip: step('flip', {}),
  resizedCrop: step('resizedCrop', {
    box: z.tuple([offset, offset, side, side]),
    size: z.tuple([side, side]),
  }),
} satisfies Record<string, z.ZodType<{ operator: string }>>

export type OperatorName = keyof typeof stepSchemas
export type StepOf<Name extends OperatorName> = z.infer<(typeof stepSchemas)[Name]>
/** One operator with its options. */
export type Step = { [Name in OperatorName]: StepOf<Name> }[OperatorName]

export const isOperator = (name: string): name is OperatorName => Object.hasOwn(stepSchemas, name)
