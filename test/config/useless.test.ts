import { describe, expect, it } from 'vitest'
import { configKeys } from '../../src/config/keys.ts'
import { assignedKeys, withOverride } from '../../src/config/overrides.ts'
import { presetOf } from '../../src/config/presets.ts'
import { resolveConfig } from '../../src/config/resolve.ts'
import { expectUseful, modelReading } from '../../src/config/useless.ts'

const check = (set: readonly string[], base: Parameters<typeof resolveConfig>[0] = {}) =>
  expectUseful(resolveConfig(set.reduce(withOverride, base)), set)

describe('a key that is set and changes nothing is refused', () => {
  const bands = 'data.bands=["B2","B3","B4","B8"]'
  it.each<[string, string[], RegExp]>([
    [
      'train.epochs=5',
      ['train.steps=10'],
      /train\.steps is set, and goes before it: add --set train\.steps=null/,
    ],
    ['optim.warmupFraction=0.1', ['optim.warmupSteps=3'], /optim\.warmupSteps is set/],
    ['data.scale=[0.5,1]', ['data.crop=center'], /data\.crop is "center"/],
    ['mask.groups=consistent', [bands], /for groups of bands/],
    ['model.timeWidth=8', [bands], /for dates/],
    ['optim.clipBy=tensor', [], /nothing is clipped/],
    ['decoder.timeWidth=8', [bands], /for dates/],
    ['mask.perFrame=true', [bands], /for series of dates/],
    ['mask.ratioSchedule=uniform', [], /mask\.ratioTo is null/],
    ['target.statistics=band', ['target.normalize=false'], /target\.normalize is false/],
    ['target.scalesWidth=8', [], /no larger pictures/],
    ['log.probeEverySteps=9', [], /there is no probe/],
  ])('%s beside %j', (assignment, more, why) => {
    expect(() => check([assignment, ...more])).toThrow(
      expect.objectContaining({ code: 'CONFIG', message: expect.stringMatching(why) as string }),
    )
    expect(() => check([...more, assignment])).toThrow(
      `--set ${assignment.split('=')[0]} would change nothing: `,
    )
    expect(() => check(more)).not.toThrow() // the others are of use
  })

  it('and is taken where it does change something', () => {
    check(['train.epochs=5', 'train.steps=null'], { train: { steps: 9 } })
    check(['optim.warmupFraction=0.1', 'target.statistics=band', 'data.scale=[0.5,1]'])
    const { config } = presetOf('satmae-base-sentinel2')
    const series = { ...config, model: { ...config.model, frames: 2 } }
    check(['data.window=64', 'mask.groups=consistent', 'mask.perFrame=true'], series)
    expect(() => check(['mask.kind=grid', 'mask.perFrame=true'], series)).toThrow(
      /mask\.perFrame is read only with mask\.kind=random/,
    )
    check(['mask.kind=block', 'mask.minBlock=2'])
    check(['mask.ratioTo=0.9', 'mask.ratioSchedule=uniform'])
    check(['target.normalize=false', 'target.scales=[2]', 'target.scalesWidth=8'])
    check(['optim.clipBy=tensor', 'optim.clipGradientNorm=3'])
    check(['log.probe=labelled', 'log.probeEverySteps=9'])
  })
})

it('commands that use a model refuse keys of how it is trained', () => {
  const config = resolveConfig({})
  const refused = (reading: ReturnType<typeof modelReading>) =>
    configKeys().filter((key) => !reading.reads(key))
  const some = refused(modelReading())
  expect(some).toEqual(
    expect.arrayContaining(['optim.beta1', 'train.batchSize', 'train.precision', 'log.everySteps']),
  )
  expect(some.filter((key) => /^(model|decoder|data|mask|target)\./.test(key))).toEqual([])
  expect(refused(modelReading(['train.precision']))).toEqual(some.filter((key) => key !== 'train.precision'))
  expect(() => expectUseful(config, ['optim.beta1=0.8'], modelReading())).toThrow(
    /^--set optim\.beta1 would change nothing: this command reads what says the model and how images are read/,
  )
})

it('a key that is set twice is refused, and what cannot be read is reported first', () => {
  expect(assignedKeys(['mask.ratio=0.5', ' model.depth = 3'])).toEqual(['mask.ratio', 'model.depth'])
  expect(() => assignedKeys(['mask.ratio=0.5', 'mask.ratio=0.6'])).toThrow(
    expect.objectContaining({
      code: 'USAGE',
      message: expect.stringContaining('gives mask.ratio twice') as string,
    }),
  )
  expect(() => assignedKeys(['mask.ratio'])).toThrow(/expects key\.path=value/)
  expect(() => assignedKeys(['rubbish=1'])).toThrow(/no configuration key "rubbish"/)
})
