import { describe, expect, it } from 'vitest'
import { configOf, ladderOf } from '../../src/plan/ladder.ts'

const images = { kind: 'images', device: 'cpu', set: [] } as const
const shapes = (side: number) =>
  ladderOf({ ...images, side }).map(
    ({ encoder, imageSize, patchSize }) => `${encoder}/${patchSize}@${imageSize}`,
  )

describe('ladderOf', () => {
  it('takes the largest size that the images have, with patches that keep the number of tokens', () => {
    expect(shapes(500)).toEqual([
      'ViT-Tiny/8@64',
      'ViT-Small/16@128',
      'ViT-Small/16@224',
      'ViT-Base/16@224',
      'ViT-Large/16@224',
      'ViT-Huge/14@224',
    ])
    expect(shapes(120)).toEqual(['ViT-Tiny/8@64', 'ViT-Small/12@96', 'ViT-Base/8@112', 'ViT-Large/8@112'])
    expect(shapes(32)).toEqual(['ViT-Tiny/4@32', 'ViT-Small/4@32', 'ViT-Base/4@32', 'ViT-Large/4@32'])
  })
  it('enlarges smaller images for the smallest model alone', () =>
    expect(shapes(20)).toEqual(['ViT-Tiny/4@32']))
  it('rises in cost', () => {
    for (const side of [32, 64, 128, 500]) {
      const costs = ladderOf({ ...images, side }).map(({ flops }) => flops)
      expect(costs).toEqual([...costs].sort((a, b) => a - b))
    }
  })
  it('says only what differs from the preset', () => {
    const [tiny, small] = ladderOf({ ...images, side: 64 })
    expect(small).toMatchObject({ preset: 'mae-small-64', set: [] })
    expect(tiny).toMatchObject({
      preset: 'mae-tiny-cifar10',
      set: ['model.imageSize=64', 'model.patchSize=8'],
    })
    expect(configOf(tiny!, ['train.batchSize=7'])).toMatchObject({
      model: { imageSize: [64, 64], patchSize: 8, width: 192 },
      train: { batchSize: 7 },
    })
  })
  it('takes one preset at its own size where it is named, and any', () => {
    expect(ladderOf({ ...images, side: 64, preset: 'mae-base-224' })).toMatchObject([
      { preset: 'mae-base-224', imageSize: 224, patchSize: 16, set: [] },
    ])
    expect(ladderOf({ ...images, side: 64, preset: 'mae-demo' })).toMatchObject([
      { preset: 'mae-demo', imageSize: 48, patchSize: 6, set: [] },
    ])
  })
  it('has models for rasters, with their bands', () => {
    const rasters = ladderOf({
      ...{ kind: 'rasters', side: 100, device: 'cpu' },
      set: ['data.bands=["B2","B3","B4"]', 'model.groups=null'],
    })
    expect(rasters.map(({ encoder, imageSize }) => [encoder, imageSize])).toEqual([
      ['ViT-Tiny', 48],
      ['ViT-Base', 96],
    ])
    expect(configOf(rasters[0]!).model.channels).toBe(3)
  })
})
