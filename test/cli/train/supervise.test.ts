import { expect, it } from 'vitest'
import { childArguments } from '../../../src/cli/train/supervise.ts'

it('a supervised run continues after a crash, and takes the place of another one once', () => {
  const given = ['pretrain', '--out', 'run', '--supervise', '--overwrite']
  const plain = { isFirst: false, resume: false, isToReplace: false }
  const first = ['pretrain', '--out', 'run', '--overwrite']
  expect(childArguments(given, { ...plain, isFirst: true })).toEqual(first)
  expect(childArguments(given, { ...plain, isToReplace: true })).toEqual(first) // it has not begun
  expect(childArguments(given, plain)).toEqual(['pretrain', '--out', 'run', '--resume'])
  const resumed = ['pretrain', '--out', 'run', '--resume']
  expect(childArguments([...resumed, '--supervise'], { ...plain, resume: true })).toEqual(resumed)
})
