import { describe, expect, it } from 'vitest'
import { withOverride } from '../../src/config/overrides.ts'
import { resolveConfig } from '../../src/config/resolve.ts'

describe('withOverride', () => {
  it.each<[string, object]>([
    ['mask.ratio=0.6', { mask: { ratio: 0.6 } }],
    ['mask.ratio=.6', { mask: { ratio: 0.6 } }],
    ['optim.baseLearningRate=3e-4', { optim: { baseLearningRate: 3e-4 } }],
    ['  mask.ratio =  0.6  ', { mask: { ratio: 0.6 } }],
    ['model.imageSize=[32, 48]', { model: { imageSize: [32, 48] } }],
    ['train.steps=null', { train: { steps: null } }],
    ['data.flip=false', { data: { flip: false } }],
    ['model.size=huge', { model: { size: 'huge' } }],
    ['model.size="huge"', { model: { size: 'huge' } }],
    ['objective=mae', { objective: 'mae' }],
    ['data.crop=a=b', { data: { crop: 'a=b' } }],
    ['data.crop=', { data: { crop: '' } }],
    ['data.crop=Infinity', { data: { crop: 'Infinity' } }],
  ])('reads %s', (assignment, expected) => {
    expect(withOverride({}, assignment)).toEqual(expected)
  })

  it('changes one key of a copy, also of a frozen configuration', () => {
    const before = resolveConfig({ optim: { beta1: 0.8 }, mask: { ratio: 0.5 } })
    const after = withOverride(before, 'optim.beta2=0.99')
    expect(after).toEqual({ ...before, optim: { ...before.optim, beta2: 0.99 } })
    expect(before.optim).toMatchObject({ beta2: 0.95 })
  })

  it('lets a later assignment win', () => {
    const config = ['train.steps=5', 'train.steps=6'].reduce(withOverride, {})
    expect(config).toEqual({ train: { steps: 6 } })
  })

  it.each(['mask.ratio', '=0.6', ''])('refuses "%s", which assigns nothing', (assignment) => {
    expect(() => withOverride({}, assignment)).toThrow(
      expect.objectContaining({
        code: 'USAGE',
        message: `--set expects key.path=value, got "${assignment}". Example: --set mask.ratio=0.6`,
      }),
    )
  })

  it.each([
    [
      'optim.baseLearningrate=1',
      'There is no configuration key "optim.baseLearningrate". Did you mean "optim.baseLearningRate"?',
    ],
    ['mask.ration=1', 'There is no configuration key "mask.ration". Did you mean "mask.ratio"?'],
    [
      'mask=1',
      'There is no configuration key "mask". It is a group: mask.kind, mask.ratio, mask.ratioTo, mask.ratioSchedule, mask.minBlock, mask.cell, mask.blocks, mask.rule, mask.model, mask.maskingProb, mask.showMax, mask.throwRatio, mask.fromEpoch, mask.ratioBefore, mask.hardFrom, mask.hardTo, mask.predictorWidth, mask.predictorDepth, mask.predictorHeads, mask.momentum, mask.momentumTo, mask.momentumEpochs, mask.dir, mask.groups, mask.frames, mask.perFrame.',
    ],
    ['model.size.x=1', 'There is no configuration key "model.size.x". Did you mean "model.size"?'],
    ['__proto__.ratio=1', 'There is no configuration key "__proto__.ratio".'],
  ])('refuses %s and says what may have been meant', (assignment, message) => {
    expect(() => withOverride({}, assignment)).toThrow(
      expect.objectContaining({ code: 'CONFIG', message: expect.stringContaining(message) as string }),
    )
  })

  it('leaves a wrong value to the schema, which names it', () => {
    expect(() => resolveConfig(withOverride({}, 'data.flip=yes'))).toThrow(/data\.flip: .*boolean.*got "yes"/)
  })
})
