import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { inferenceOptions, objectiveOf } from '../../src/config/assemble.ts'
import type { ConfigInput } from '../../src/config/schema.ts'
import { initialParameters } from '../../src/model/parameters.ts'
import { imagesInOrder } from '../../src/prepare/loader/in-order.ts'
import { imagenetStatistics } from '../../src/prepare/normalize.ts'
import { loadExhibit, reconstructExhibit } from '../../src/run/pictures.ts'
import { openImageFolder } from '../../src/source/image-folder.ts'
import { liveTensors } from '../../src/tensor/scope.ts'
import type { Model } from '../../src/weights/load-model.ts'
import { copyImages } from '../weights/pipelines.ts'
import { sampleFolder, tinyConfig, workFolder } from './tiny.ts'

const config = tinyConfig()

describe('loadExhibit', () => {
  it('spreads over the source, and takes no more than there is', async () => {
    const source = await openImageFolder(await sampleFolder(40))
    const exhibit = await loadExhibit(config, source, 4)
    expect(exhibit.indices).toEqual([0, 10, 20, 30])
    expect(exhibit.shape).toEqual([4, 16, 16, 3])
    expect(exhibit.pixels).toHaveLength(4 * 16 * 16 * 3)
    expect((await loadExhibit(config, source, 99)).indices).toHaveLength(40)
    expect((await loadExhibit(config, source)).indices).toHaveLength(8)
  })

  it('passes over files that cannot be decoded, and fills their places', async () => {
    const dir = await sampleFolder(20)
    const all = await openImageFolder(dir)
    writeFileSync(join(dir, all.files[0]!), 'no image')
    writeFileSync(join(dir, all.files[10]!), '')
    await expect(loadExhibit(config, all, 2)).rejects.toThrow(/^2 of 20 images/)
    const { indices } = await loadExhibit(tinyConfig({ data: { maxSkippedShare: 0.1 } }), all, 2)
    expect(indices).toEqual([1, 2])
  })

  it.each<ConfigInput['data']>([
    { resize: 'box' },
    { resize: 'shortest', cropShare: 0.875, cutRule: 'even' },
    { resize: 'longest', fill: [124, 116, 104], colours: 'stored' },
    { resize: 'squash', interpolation: 'bilinear', rounding: 'none' },
    { resize: 'shortest', colours: 'resized' },
  ])('prepares images as features have them: %j', async (data) => {
    const config = tinyConfig({ data })
    const dir = await workFolder()
    copyImages(dir)
    const source = await openImageFolder(dir)
    const exhibit = await loadExhibit(config, source, source.files.length)
    const options = {
      ...inferenceOptions(config, source, { decodeThreads: 1 }),
      batchSize: source.files.length,
    }
    for await (const { parts, indices } of imagesInOrder(options)) {
      expect(exhibit.indices).toEqual([...indices])
      expect(parts.map(({ samples }) => samples.pixels)).toEqual([exhibit.pixels])
    }
  })

  it('says why when no image can be used', async () => {
    const dir = await workFolder()
    for (const name of ['a.png', 'b.jpg']) writeFileSync(join(dir, name), 'no image')
    await expect(loadExhibit(config, await openImageFolder(dir), 2)).rejects.toMatchObject({
      code: 'DATA_BROKEN',
      message: expect.stringMatching(
        /^2 of 2 images \(100 %\) cannot be used\. No other is left\.\n {2}a\.png, b\.jpg: expected a JPEG/,
      ) as string,
    })
  })
})

describe('reconstructExhibit', () => {
  it('is the same every time, whatever other images there are, and frees what it used', async () => {
    const objective = objectiveOf(config, 'cpu')
    const parameters = initialParameters(objective.rows, { seed: 0, device: 'cpu' })
    const model: Model = { config, objective, parameters, statistics: imagenetStatistics, device: 'cpu' }
    const source = await openImageFolder(await sampleFolder(40))
    const [four, two] = [await loadExhibit(config, source, 4), await loadExhibit(config, source, 2)]
    const before = liveTensors()
    const pictures = reconstructExhibit(model, four, 7)
    expect(liveTensors()).toBe(before)
    expect(reconstructExhibit(model, four, 7)).toEqual(pictures)
    expect(reconstructExhibit(model, two, 7).images[1]?.masked).toEqual(pictures.images[2]?.masked) // both are image 20
    expect(reconstructExhibit(model, four, 8).images[0]?.masked).not.toEqual(pictures.images[0]?.masked)
    expect(pictures.hiddenShare).toBe(0.75)
    expect(pictures.images[0]?.rebuilt.map(({ statistics }) => statistics)).toEqual(['neighbours', 'true'])
  })
})
