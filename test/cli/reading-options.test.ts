// Every command that reads images takes the same limits; the commands are built here and not started.
import { Command } from 'commander'
import { expect, it } from 'vitest'
import { addPack } from '../../src/cli/data/pack.ts'
import { addEvaluate } from '../../src/cli/evaluate/evaluate.ts'
import { addExport } from '../../src/cli/exchange/export.ts'
import { addBench } from '../../src/cli/machine/bench.ts'
import { addClassify } from '../../src/cli/predict/classify.ts'
import { addEmbed } from '../../src/cli/predict/embed.ts'
import { addLook } from '../../src/cli/predict/look.ts'
import { addSegmentFolder } from '../../src/cli/predict/segment.ts'
import { readingAssignments, readingOf } from '../../src/cli/reading-options.ts'
import { addDuplicates } from '../../src/cli/search/duplicates.ts'
import { addIndex } from '../../src/cli/search/make-index.ts'
import { addSearch } from '../../src/cli/search/search.ts'
import { addPretrain } from '../../src/cli/train/pretrain.ts'
import { addReconstruct } from '../../src/cli/train/reconstruct.ts'

const root = new Command()
for (const add of [
  ...[addBench, addClassify, addDuplicates, addEmbed, addEvaluate, addExport, addIndex, addPack, addPretrain],
  ...[addLook, addReconstruct, addSearch, addSegmentFolder],
])
  add(root)

const named = (path: string): Command =>
  path.split(' ').reduce((command, name) => command.commands.find((each) => each.name() === name)!, root)

const limits = ['--max-skipped-share', '--max-pixels', '--corrupt', '--file-timeout']

it.each([
  ...['pretrain', 'embed', 'index', 'classify', 'segment', 'duplicates', 'pack', 'reconstruct', 'look'],
  ...['evaluate knn', 'evaluate linear', 'evaluate fewshot', 'evaluate frozen', 'evaluate segment'],
  ...['evaluate finetune', 'evaluate partial', 'evaluate scratch', 'export onnx', 'bench data'],
])('%s', (path) => {
  const { options } = named(path)
  expect(options.map(({ long }) => long)).toEqual(expect.arrayContaining(limits))
  const [share, pixels, corrupt, seconds] = limits.map((limit) => options.find(({ long }) => long === limit)!)
  expect(share!.parseArg!('0.25', undefined)).toBe(0.25)
  expect(() => share!.parseArg!('1.5', undefined)).toThrow('from 0 to 1')
  expect(pixels!.parseArg!('5000', undefined)).toBe(5000)
  expect(corrupt!.argChoices).toEqual(['skip', 'keep', 'stop'])
  expect(seconds!.parseArg!('2.5', undefined)).toBe(2.5)
})

it('are given on as they were given', () => {
  expect(readingOf({ maxSkippedShare: 0.25 })).toMatchObject({ maxSkippedShare: 0.25, maxPixels: undefined })
  expect(readingAssignments({ maxSkippedShare: 0.25 })).toEqual(['data.maxSkippedShare=0.25'])
  expect(readingAssignments({ corrupt: 'keep', fileTimeout: 3 })).toEqual([
    'data.corrupt=keep',
    'data.fileTimeout=3',
  ])
  expect(readingAssignments({})).toEqual([])
})
