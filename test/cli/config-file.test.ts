// --config FILE: preset < file < options < --set, in JSON and YAML, and each fault with its place.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { composed } from '../../src/cli/config-file.ts'
import { presetOf } from '../../src/config/presets.ts'
import { resolveConfig } from '../../src/config/resolve.ts'
import { inProcess, workFolder } from './sherd.ts'

let dir: string
const fileOf = (text: string, name = 'mine.yaml'): string => {
  const path = join(dir, name)
  writeFileSync(path, text)
  return path
}
const base = presetOf('mae-small-64').config
beforeAll(async () => {
  dir = await workFolder()
})

const faultOf = (text: string, set: string[] = [], name = 'mine.yaml'): string => {
  const file = fileOf(text, name)
  try {
    composed({ base, file, set })
  } catch (error) {
    return (error as Error).message.replaceAll(`${dir}/`, '')
  }
  throw new Error(`${text} was taken`)
}

describe('a file of keys', () => {
  it.each([
    ['YAML', 'optim:\n  baseLearningRate: 3e-4 # a comment\nmask: {ratio: 0.6}\n'],
    ['JSON', '{"optim": {"baseLearningRate": 3e-4},\n\t"mask": {"ratio": 0.6}}'],
    ['dotted names', 'optim.baseLearningRate: 0.0003\nmask.ratio: .6\n'],
  ])('in %s goes before the preset', (_, text) => {
    const config = composed({ base, file: fileOf(text), set: [] })
    expect(config).toEqual(
      resolveConfig({ ...base, optim: { ...base.optim, baseLearningRate: 3e-4 }, mask: { ratio: 0.6 } }),
    )
  })

  it.each([
    ['--set', (value: string) => ({ file: undefined, set: [`objective=${value}`] })],
    ['a file', (value: string) => ({ file: fileOf(`objective: ${value}\n`), set: [] })],
  ])('another objective of %s leaves out what the preset says of its own', (_, given) => {
    const { decoder, ...others } = base
    expect(decoder).toBeDefined()
    expect(composed({ base, ...given('simmim') })).toEqual(resolveConfig({ ...others, objective: 'simmim' }))
    const both = () => composed({ base, file: undefined, set: ['objective=simmim', 'decoder.width=8'] })
    expect(both).toThrow(
      'decoder.width is read only with objective=mae or crossmae, and objective is simmim.',
    )
  })

  it('is overridden by options, and these by --set', () => {
    const file = fileOf('train: {steps: 10, seed: 5, batchSize: 8}\n')
    const { train } = composed({
      base,
      file,
      options: ['train.steps=20', 'train.seed=6'],
      set: ['train.seed=7'],
    })
    expect([train.batchSize, train.steps, train.seed]).toEqual([8, 20, 7])
  })

  it('may be the config.json of a run', () => {
    const config = resolveConfig({
      ...base,
      target: { kind: 'hog' },
      optim: { optimizer: 'sgd', momentum: 0.5 },
    })
    const file = fileOf(JSON.stringify(config, null, 2), 'config.json')
    expect(composed({ base: presetOf('mae-base-224').config, file, set: [] })).toEqual(config)
    expect(composed({ base: {}, file, set: [] })).toEqual(config)
  })

  it('that chooses another optimizer leaves out what the preset says of its own', () => {
    const file = fileOf('optim: {optimizer: sgd}')
    const { optim } = composed({ base: { ...base, optim: { ...base.optim, beta2: 0.99 } }, file, set: [] })
    expect(optim).toMatchObject({ optimizer: 'sgd', momentum: 0.9 })
    expect(optim).not.toHaveProperty('beta2')
  })
})

describe('a fault says its place', () => {
  it.each([
    [
      'optim:\n  lr: 1\n',
      [],
      /^mine.yaml:2: There is no configuration key "optim.lr". In sherd it is optim.baseLearningRate/,
    ],
    ['a: 1\nb: 2\n', [], /^mine.yaml:1: There is no .*\nmine.yaml:2: There is no configuration key "b"/],
    ['\nmask:\n  ratio: 2\n', [], /^mask.ratio: .*got 2 \(2 % is 0.02\) \(from mine.yaml:3\)$/],
    ['model: {heads: 5}', [], /^model.width 384 is not divisible by model.heads 5 \(from mine.yaml:1\)$/],
    [
      'data:\n  scale: [0.5, 7]\n',
      [],
      /^data.scale: a share must not exceed 1, got \[0.5,7\] \(from mine.yaml:2\)$/,
    ],
    ['mask: {ratio: 2}', ['mask.ratio=3'], /got 3 \(3 % is 0.03\)$/], // the option's, not the file's
    ['mask:\n  ratio: 0.5\nmask.ratio: 0.6', [], /^mine.yaml:3: mask.ratio is given twice/],
    ['optim: {optimizer: sdg}', [], /Did you mean "sgd"\? \(from mine.yaml:1\)$/],
    ['mask: {ratio: 0.5', [], /^mine.yaml:1: this is neither JSON nor YAML: /],
    ['- 1\n- 2\n', [], /^mine.yaml: expected keys/],
    ['', [], /^mine.yaml: expected keys/],
    ['version: 99\n', [], /^mine.yaml: its configuration is of version 99/],
    ['version: 2\noptim: {lr: 3}\n', [], /no configuration key "optim.lr"/],
    [
      `a: &a [1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c,*c,*c,*c]`,
      [],
      /^mine.yaml: Excessive alias count/,
    ],
  ])('%j', (text, set, message) => expect(faultOf(text, set)).toMatch(message))

  it('of a file that is none', () => {
    mkdirSync(join(dir, 'folder'))
    for (const name of ['absent.yaml', 'folder'])
      expect(() => composed({ base, file: join(dir, name), set: [] })).toThrow(/^--config: cannot read /)
    expect(faultOf(`# ${'x'.repeat(1 << 20)}\n`)).toMatch(/at most a megabyte/)
  })
})

it('is an option of what has --set', async () => {
  const file = fileOf('model: {size: tiny}\nmask: {rato: 0.5}\n')
  for (const args of [
    ['pretrain', '--out', 'x', '--data', '.'],
    ['bench', 'step'],
    ['embed', '.', '--model', 'random', '--out', 'x.npy'],
    ['import', 'x', '--out', 'x.safetensors'],
    ['export', 'timm', '--model', 'x', '--out', 'x'],
    ['presets'],
  ]) {
    const { status, stderr } = await inProcess([...args, '--config', file], { cwd: dir })
    expect([args[0], status, stderr]).toEqual([
      args[0],
      2,
      expect.stringContaining(
        'mine.yaml:2: There is no configuration key "mask.rato". Did you mean "mask.ratio"?',
      ),
    ])
  }
})
