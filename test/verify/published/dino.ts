/** DINO (SELF-DISTILLATION): crops of two sizes, a teacher that moves after the step, a centre, a last layer that is frozen at first. */
import { z } from 'zod'
import { type Weights, within } from '../../../src/model/parameters.ts'
import type { RowsObjective } from '../../../src/objective/objective.ts'
import { call } from '../../../src/tensor/call.ts'
import { noGrad } from '../../../src/tensor/context.ts'
import {
  add,
  cat,
  div,
  matmul,
  meanOver,
  mul,
  select,
  sub,
  sum,
  transpose,
  unsqueeze,
} from '../../../src/tensor/ops.ts'
import type { Tensor } from '../../../src/tensor/tensor.ts'
import { resamplePositions } from '../../../src/token/resample-positions.ts'
import type { NetworkRow } from '../../../src/verify/network-row.ts'
import { byStep } from '../../../src/verify/recipe.ts'
import { applyLinear, clsOf, encode, gridOf, row, unit, vitConfig, vitRows } from './small-vit.ts'

const config = z.looseObject({
  ...{ ...vitConfig, batch: z.int(), localViews: z.int(), localSize: z.tuple([z.int(), z.int()]) },
  ...{ headHidden: z.int(), headBottleneck: z.int(), prototypes: z.int(), clipGradient: z.number() },
  ...{ studentTemperature: z.number(), centerMomentum: z.number(), lastLayerFrozen: z.array(z.int()) },
  ...{ teacherMomentums: byStep, teacherTemperatures: byStep },
})
interface Crops {
  readonly globals: readonly Tensor[]
  readonly locals: readonly Tensor[]
}

export const dino: NetworkRow<z.infer<typeof config>, Crops, null> = {
  config,
  tolerances: 'selfDistillation',
  open(given, { input }) {
    const { prototypes: K, headHidden: hidden, headBottleneck: z, localViews, batch } = given
    const d = { ...given, hasPositions: true }
    const [h, w] = gridOf(d)
    const linear = (name: string, from: number, to: number) => [
      row(`student.head.${name}.weight`, [to, from]),
      row(`student.head.${name}.bias`, [to]),
    ]
    const positions = (weights: Weights) => (rows: number, columns: number) => {
      const change = { from: { h, w }, to: { h: rows, w: columns }, by: 'cubic-offset' } as const
      return unsqueeze(resamplePositions(select(weights('backbone.pos_embed'), 0, 0), change), 0)
    }
    const encoded = (images: Tensor, weights: Weights) =>
      clsOf(encode(images, within(weights, 'backbone'), d, { positions: positions(weights) }))
    const logitsOf = (x: Tensor, weights: Weights) => {
      const own = within(weights, 'head')
      const inner = ['mlp.0', 'mlp.2'].reduce((y, name) => call('gelu', applyLinear(y, own, name)), x)
      const prototypes = mul(unit(own('last_layer.weight_v')), own('last_layer.weight_g'))
      return matmul(unit(applyLinear(inner, own, 'mlp.4')), transpose(prototypes, 0, 1))
    }
    const features = (weights: Weights, { globals, locals }: Crops) => {
      const [student, teacher] = [within(weights, 'student'), within(weights, 'teacher')]
      const crops = [...globals, ...locals].map((images, i) => [`crop${i}`, encoded(images, student)])
      const taught = noGrad(() =>
        globals.map((images, i) => [`taught${i}`, logitsOf(encoded(images, teacher), teacher)]),
      )
      return Object.fromEntries([...crops, ...taught]) as Record<string, Tensor>
    }
    const cropsOf = (found: Readonly<Record<string, Tensor>>) =>
      Array.from({ length: 2 + localViews }, (_, i) => found[`crop${i}`]!)
    const shares = (taught: Tensor, weights: Weights, temperature: number) =>
      call('softmax.int', mul(sub(taught, weights('center')), 1 / temperature), -1)
    const objective: RowsObjective<Crops, null, 'momentum'> = {
      rows: [
        ...vitRows('student.backbone.', d),
        ...[
          ...linear('mlp.0', d.width, hidden),
          ...linear('mlp.2', hidden, hidden),
          ...linear('mlp.4', hidden, z),
        ],
        row('student.head.last_layer.weight_g', [K, 1], 'fixed'),
        row('student.head.last_layer.weight_v', [K, z]),
        row('center', [1, K], 'state'),
      ],
      averages: [{ prefix: 'teacher.', from: 'student.', momentum: 'momentum', when: 'after-step' }],
      groups: [
        {
          ...{ match: /last_layer/, frozen: 'no-gradient' },
          frozenUntil: given.lastLayerFrozen.filter((isFrozen) => isFrozen === 1).length,
        },
      ],
      encoder: { prefix: 'teacher.backbone.' },
      plan: () => null,
      features,
      stats: { taught: 'sum' },
      lossOfRows(weights, found, { value }) {
        const students = cropsOf(found).map((x) => logitsOf(x, within(weights, 'student')))
        const { temperature } = value as Record<string, number>
        const terms = [found.taught0!, found.taught1!].flatMap((taught, q) =>
          students.flatMap((logits, v) => {
            const likely = call('log_softmax.int', mul(logits, 1 / given.studentTemperature), -1)
            return v === q ? [] : [div(sum(mul(shares(taught, weights, temperature!), likely)), -batch)]
          }),
        )
        const mean = mul(
          terms.reduce((a, b) => add(a, b)),
          1 / terms.length,
        )
        const taught = meanOver(cat([found.taught0!, found.taught1!], 0), [0], true)
        return { parts: { dino: { mean, weight: 1 } }, stats: { taught } }
      },
      update: (weights, { taught }) => ({
        center: add(mul(weights('center'), given.centerMomentum), mul(taught!, 1 - given.centerMomentum)),
      }),
    }
    return {
      ...{ objective, samples: batch, microBatches: batch, clip: { by: 'tensor', most: given.clipGradient } },
      schedules: { momentum: given.teacherMomentums, temperature: given.teacherTemperatures },
      batch: (of) => ({
        globals: [0, 1].map((view) => input('globalViews', of, 5, [view, 2])),
        locals: Array.from({ length: localViews }, (_, view) =>
          input('localViews', of, 5, [view, localViews]),
        ),
      }),
      outputs: (weights, crops, _, { value }) =>
        noGrad(() => {
          const found = features(weights, crops)
          const [all, taught] = [cat(cropsOf(found), 0), cat([found.taught0!, found.taught1!], 0)]
          const [rows, columns] = given.localSize.map((side) => side / d.patchSize) as [number, number]
          const student = within(weights, 'student')
          return {
            ...{ studentFeatures: all, studentLogits: logitsOf(all, student), teacherLogits: taught },
            teacherProbabilities: shares(taught, weights, (value as Record<string, number>).temperature!),
            localPositions: positions(student)(rows, columns),
          }
        }),
    }
  },
}
