// Files of real trainings in small, from `../shared/cases` where that is beside the repository; each is one model, kept in another way.
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { readArrays } from '../../src/checkpoint/safetensors.ts'
import { predictionsOf } from '../../src/evaluate/prediction-file.ts'
import { type ImportOptions, importWeights } from '../../src/import/import.ts'
import { packageRoot } from '../../src/package-root.ts'
import { classifierLogits, openClassifier } from '../../src/weights/open-classifier.ts'

const cases = join(packageRoot(), '../shared/cases/weights')
const work = mkdtempSync(join(tmpdir(), 'sherd-cases-'))
afterAll(() => rmSync(work, { recursive: true, force: true }))

let count = 0
const bring = (name: string, options: Partial<ImportOptions> = {}) =>
  importWeights({
    ...{ from: join(cases, name), out: join(work, `${count++}.safetensors`), set: ['model.heads=2'] },
    ...options,
  })

// What nothing but the family says of the others.
const asDino = ['resize=shortest', 'cropShare=0.875', 'cutRule=even', 'colours=stored'].map(
  (key) => `data.${key}`,
)

describe.runIf(existsSync(cases))('weights of trainings', () => {
  const plain = bring('plain.pth')

  it.each<[string, Partial<ImportOptions>, RegExp]>([
    ['numpy-scalar.pth', {}, /left unread.*numpy\.core\.multiarray\.scalar/],
    ['posixpath-args.pth', {}, /left unread.*pathlib\.PosixPath/],
    ['torch-dtype.pth', {}, /left unread.*torch\.float32/],
    ['multistep-scheduler.pth', {}, /left unread.*collections\.Counter/],
    [
      'lightly-mae.ckpt',
      {},
      /under "backbone\.vit\.", and left out 4 others \(backbone\.mask_token, decoder/,
    ],
    ['lightly-mae.ckpt', { take: 'state_dict', prefix: 'backbone.vit' }, /left out 4 others/],
    ['dino.pth', {}, /"teacher", not "student".*\n.*under "backbone\.", and left out 2 others \(head\.mlp/],
    ['dino.pth', { take: 'teacher' }, /under "backbone\."/],
    ['mmpretrain.pth', { set: ['model.heads=2', 'model.resampling=cubic-offset', ...asDino] }, /ImageNet/],
    ['prefix-vit.pth', {}, /under "vit\."/],
    ['prefix-vit.pth', { prefix: 'vit' }, /under "vit\."/],
    ['legacy-tar.pth', {}, /as the authors of dino evaluate/],
  ])('%s, %j: the same bytes as the plain file, and a note', async (name, options, note) => {
    const { path, notes } = await bring(name, options)
    expect(readFileSync(path).equals(readFileSync((await plain).path))).toBe(true)
    expect(notes.join('\n')).toMatch(note)
  })

  it('timm keeps averaged weights beside the others: both can be had, and a note says which were', async () => {
    const raw = await bring('timm-state_dict_ema.pth')
    const same = await bring('timm-state_dict_ema.pth', { take: 'state_dict' })
    const averaged = await bring('timm-state_dict_ema.pth', { take: 'state_dict_ema' })
    expect(raw.notes[0]).toMatch(
      /took .*"state_dict", not "state_dict_ema" \(averaged weights\): --take state_dict_ema/,
    )
    const [a, b, c] = [raw, same, averaged].map(({ path }) => readFileSync(path))
    expect([a!.equals(b!), a!.equals(c!)]).toEqual([true, false])
    await expect(bring('timm-state_dict_ema.pth', { take: 'ema' })).rejects.toThrow(
      /nothing under "ema".*under: state_dict, state_dict_ema/,
    )
  })

  it('a grid of 2 × 8 is taken where it is said; else a note says that 4 × 4 was assumed', async () => {
    await expect(
      bring('grid-2x8.pth', { set: ['model.heads=2', 'model.imageSize=[32,128]'] }),
    ).rejects.toThrow(
      /does not say model\.resampling.*--set model\.resampling=.*cubic-offset \(the authors of DINO and iBOT\), cubic-antialias \(timm\)/,
    )
    const set = ['model.heads=2', 'model.imageSize=[32,128]', 'model.resampling=cubic-antialias']
    const assumed = await bring('grid-2x8.pth', { set })
    expect(assumed.notes.join()).toMatch(/16 positions: taken as 4 × 4; --grid/)
    const { config, rows } = await bring('grid-2x8.pth', { set, grid: { h: 2, w: 8 } })
    expect(config.model).toMatchObject({
      imageSize: [32, 128],
      positionGrid: [2, 8],
      resampling: 'cubic-antialias',
    })
    expect(rows.find(({ name }) => name === 'pos_embed')!.why).toBe(
      '2 × 8 places; the row of cls added to cls_token',
    )
    const own = await bring('grid-2x8.pth', { grid: { h: 2, w: 8 } })
    expect(own.config.model.imageSize).toEqual([16, 64])
  })

  it('a norm before the blocks is that of CLIP, whose activation no file of names shows', async () => {
    await expect(bring('norm_pre.pth', { allow: ['unexpected'] })).rejects.toThrow(
      /does not say model\.activation.*--set model\.activation=.*may be gelu, gelu-tanh, quick-gelu/,
    )
    const { config } = await bring('norm_pre.pth', { set: ['model.heads=2', 'model.activation=quick-gelu'] })
    expect(config.model).toMatchObject({ preNorm: true, activation: 'quick-gelu', layerNormEpsilon: 1e-5 })
  })

  it("the head of MAE's linear probe is its norm and its map in one", async () => {
    const { path, classes } = await bring('mae-linprobe.pth')
    expect(classes).toHaveLength(5)
    const { tensors } = readArrays(path)
    const read = (name: string) => tensors.get(name)!.data as Float32Array
    // From the file: W[0, 0], the variance and the mean of number 0, by W / √(variance + 1e-6).
    expect(read('head.weight')[0]).toBeCloseTo(0.7071066, 6)
    expect(read('head.bias')[0]).toBeCloseTo(-22.627411, 5)
  })

  it("transformers' processors are followed: what they scale and normalise, and what not", async () => {
    const statisticsOf = async (name: string) => (await bring(name)).statistics
    expect(await statisticsOf('hf-vit')).toEqual({ mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] })
    expect(await statisticsOf('hf-do_normalize-false')).toEqual({ mean: [0, 0, 0], std: [1, 1, 1] })
    const scaled = await statisticsOf('hf-rescale-127') // x / 127.5 − 1 is what hf-vit does, too
    for (const value of [...scaled.mean, ...scaled.std]) expect(value).toBeCloseTo(0.5, 12)
    expect(await statisticsOf('timm-flat')).toEqual({ mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] })
  })

  it('classes that do not exclude each other have the probabilities of transformers', async () => {
    const { path } = await bring('hf-multilabel')
    const found = await classifierLogits(
      await openClassifier({ model: path, device: 'cpu' }),
      join(cases, '../px32'),
    )
    const [first] = predictionsOf(found)
    const told = Object.fromEntries(first!.top.map((guess) => [guess.class, guess.probability]))
    expect(first!.file).toBe('0.png')
    expect(told.tree).toBeCloseTo(0.602, 3)
    expect(told.water).toBeCloseTo(0.759, 3)
    expect(told.road).toBeCloseTo(0.006, 3)
  })

  it('whole modules and pointers of Git LFS are called what they are', async () => {
    await expect(bring('whole-module.pth')).rejects.toThrow(/pickled module.*save its state_dict\(\)/)
    await expect(bring('lfs-pointer.safetensors')).rejects.toThrow(/Git LFS pointer.*git lfs pull/)
  })
})
