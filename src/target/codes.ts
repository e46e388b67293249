/**
 * The codes of a frozen tokenizer as the target (BEiT, Bao et al. 2022): each hidden token names one of K visual words of the whole view. The
 * loss is the cross-entropy, mean over hidden tokens.
 */
import { z } from 'zod'
import { SherdError } from '../errors.ts'
import { layoutOf } from '../model/backbone-shape.ts'
import { call } from '../tensor/call.ts'
import { add, gather, mul, narrow, reshape, sum, toDtype, unsqueeze } from '../tensor/ops.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { layoutInWords, placeCount } from '../token/layout.ts'
import type { FrozenTokenizer } from './frozen-tokenizer.ts'
import type { TargetMaker } from './target.ts'
import { targetRow } from './target-row.ts'
import { type TokenValues, tokenTarget } from './token-target.ts'

/** More than any published codebook. */
const MOST_CODES = 2 ** 20

const flat = (wanted: Tensor) => reshape(wanted, [wanted.shape[0]!])

/** Of tokens: logits [n, K] and codes [n, 1] → [n]. */
const crossEntropy = (logits: Tensor, codes: Tensor): Tensor =>
  call('cross_entropy_loss', logits, flat(codes), null, 0, -100, 0)

/** The share of tokens whose greatest logit is that of their code. */
function accuracy(logits: readonly Tensor[], { wanted: codes }: TokenValues): Tensor {
  // In a sixth of the time of argmax.
  const named = logits.map((each, g) => {
    const isGreatest = call('eq.Tensor', gather(each, 1, codes[g]!), call('amax', each, [1], true))
    return sum(toDtype(isGreatest, 'float32'))
  })
  const tokens = codes.reduce((n, { shape }) => n + shape[0]!, 0)
  return mul(named.reduce(add), 1 / tokens)
}

/** `codes`: K. Throws `CONFIG` at the first use if the tokenizer has another token grid or another number of codes. */
export const predictCodes =
  (open: () => FrozenTokenizer, { codes }: { readonly codes: number }): TargetMaker =>
  ({ shape, groups }) => {
    const layout = layoutOf(shape)
    const places = placeCount(layout)
    let opened: FrozenTokenizer | undefined
    const tokenizer = () => {
      opened ??= open()
      const [own, wanted] = [layoutInWords(opened.layout), layoutInWords(layout)]
      if (own !== wanted)
        throw new SherdError(
          'CONFIG',
          `target.tokenizer: it gives codes of ${own}, and the model has ${wanted}: set model.imageSize, model.patchSize and bands to fit it`,
        )
      if (opened.codes !== codes)
        throw new SherdError(
          'CONFIG',
          `target.tokenizer: it has ${opened.codes} codes, and target.codes is ${codes}: expected the same, or no target.codes`,
        )
      return opened
    }
    const target = tokenTarget({
      part: 'codes',
      shows: { kind: 'codes', codes },
      drawn: { said: (logits) => call('argmax', logits, -1, true) },
      widths: Object.fromEntries(groups.map(({ head }) => [head, codes])),
      of({ cut: { view } }) {
        const all = unsqueeze(tokenizer().encode(view), 2) // [B, N, 1]
        return groups.map((_, g) => narrow(all, 1, g * places, places))
      },
      error: crossEntropy,
    })
    return {
      ...target,
      frozen: { 'target.tokenizer': tokenizer },
      ...{ chance: Math.log(codes), chanceOf: 'naming every code alike' },
      metrics: { accuracy: { measure: accuracy, chance: 1 / codes, chanceOf: 'naming every code alike' } },
    }
  }

export const codesRow = targetRow({
  keys: {
    tokenizer: z
      .string({ error: 'expected the path of a run, a checkpoint or a .safetensors file of a tokenizer' })
      .min(1)
      .meta({ allowed: 'path' })
      .describe('what gives each patch its code: the run of a tokenizer, a checkpoint of it, or a file'),
    codes: z
      .int()
      .min(2)
      .max(MOST_CODES)
      .nullable()
      .default(null)
      .describe('entries of its codebook; found when a run begins'),
  },
  open({ tokenizer: path, codes }, { tokenizer }) {
    if (codes === null)
      throw new SherdError(
        'CONFIG',
        'target.codes: expected the number of codes of target.tokenizer; a run that begins finds it',
      )
    return predictCodes(() => tokenizer(path), { codes })
  },
  async complete({ tokenizer, codes, ...keys }, locate) {
    const found = await locate.tokenizer(tokenizer)
    if (codes !== null && codes !== found.codes)
      throw new SherdError(
        'CONFIG',
        `target.codes is ${codes}, and ${tokenizer} has ${found.codes} codes: leave it out, or name another tokenizer`,
      )
    return { ...keys, tokenizer: found.path, codes: found.codes }
  },
  width: ({ codes }) => codes,
  models: ({ tokenizer }) => ({ tokenizer: [tokenizer] }),
  wholeSamples: () => 'target.kind codes',
  inWords: () => 'codes of a visual tokenizer',
})
