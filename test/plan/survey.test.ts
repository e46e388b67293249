import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import {
  counted,
  distinctImages,
  quantilesOf,
  type Survey,
  sampleOf,
  surveyImages,
} from '../../src/plan/survey.ts'
import { openSource } from '../../src/source/open.ts'
import { fromBytes, temporaryFolder } from '../prepare/decode/make-images.ts'

it('takes values that are there as quantiles', () => {
  expect(quantilesOf([9, 1, 5, 3, 7, 2, 8, 4, 6, 10])).toEqual({
    least: 1,
    tenth: 1,
    median: 5,
    ninetieth: 9,
    most: 10,
  })
  expect(quantilesOf([4])).toEqual({ least: 4, tenth: 4, median: 4, ninetieth: 4, most: 4 })
})

it('counts, most first', () => {
  expect(counted(['b', 'a', 'c', 'a', 'c', 'a'])).toEqual([
    ['a', 3],
    ['c', 2],
    ['b', 1],
  ])
})

describe('sampleOf', () => {
  it('takes all where that is few', () => expect(sampleOf(4, 4)).toEqual([0, 1, 2, 3]))
  it('takes runs of ten neighbours from the first to the last', () => {
    const sample = sampleOf(1000, 40)
    expect(sample).toHaveLength(40)
    const runs = [0, 10, 20, 30].map((at) => sample.slice(at, at + 10))
    for (const run of runs) expect(run).toEqual(Array.from({ length: 10 }, (_, i) => run[0]! + i))
    expect(runs.map(([first]) => first).sort((a, b) => a! - b!)).toEqual([0, 330, 660, 990])
  })
})

describe('surveyImages', () => {
  let survey: Survey
  beforeAll(async () => {
    const dir = await temporaryFolder()
    for (const name of ['a', 'b']) await mkdir(join(dir, name))
    const image = (width: number, height: number, colour: (x: number, y: number) => number[]) =>
      fromBytes(
        Array.from({ length: width * height }, (_, i) => colour(i % width, Math.floor(i / width))).flat(),
        width,
      )
    const wave = (x: number, y: number) =>
      [128 + 90 * Math.sin(x / 9), 100 + 90 * Math.cos(y / 7), 80].map(Math.round)
    await image(72, 64, wave).png().toFile(join(dir, 'a/1.png'))
    await image(72, 64, wave).jpeg({ quality: 70 }).toFile(join(dir, 'a/2.jpg')) // the same, as another file
    await image(40, 100, (x) => [5 * x, 5 * x, 5 * x])
      .png()
      .toFile(join(dir, 'b/1.png')) // grey
    await image(72, 64, () => [50, 60, 70])
      .png()
      .toFile(join(dir, 'b/2.png')) // of one colour
    await writeFile(join(dir, 'b/3.png'), 'not an image')
    survey = await surveyImages(await openSource(dir))
  })
  it('counts sizes, formats, colours and labels', () => {
    expect(survey).toMatchObject({
      images: 5,
      looked: 5,
      grey: 1,
      blank: 1,
      classes: 2,
      leastOfClass: 2,
      mostOfClass: 3,
    })
    expect(survey.sizes).toEqual([
      { width: 72, height: 64, count: 3 },
      { width: 40, height: 100, count: 1 },
    ])
    expect(survey.shortSide).toMatchObject({ least: 40, median: 64, most: 64 })
    expect(survey.formats).toEqual([
      { format: 'png', count: 3 },
      { format: 'jpeg', count: 1 },
    ])
  })
  it('finds near duplicates, and files that cannot be used with the reason', () => {
    expect(survey.nearDuplicates).toBe(1)
    expect(survey.duplicateExample).toEqual(['a/1.png', 'a/2.jpg'])
    expect(survey.broken).toEqual([
      { file: 'b/3.png', reason: expect.stringContaining('starts with "not an image"') },
    ])
    expect(distinctImages(survey)).toBe(3) // 5 · (1 − 2/5)
  })
  it('refuses a folder without a usable image, with a reason of its files', async () => {
    const dir = await temporaryFolder()
    for (const name of ['1.png', '2.png']) await writeFile(join(dir, name), 'nothing')
    await expect(surveyImages(await openSource(dir))).rejects.toMatchObject({
      code: 'SOURCE',
      message: expect.stringMatching(
        /None of the 2 images of .* can be used\. 2 of them, such as 1\.png: expected a JPEG/,
      ),
    })
  })
})
