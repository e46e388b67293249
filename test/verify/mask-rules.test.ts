// The file of masks from weights: equal to the published codes, and what is said where something is wrong.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { StoredArray } from '../../src/checkpoint/arrays.ts'
import { readArrays, writeSafetensors } from '../../src/checkpoint/safetensors.ts'
import { packageRoot } from '../../src/package-root.ts'
import { verifyFile } from '../../src/verify/verify.ts'
import { temporaryFolder } from '../tensor/temporary-folder.ts'

const file = join(packageRoot(), '../shared/reference/targets/mask-rules.safetensors')

describe.skipIf(!existsSync(file))('mask-rules (skipped where ../shared is not)', () => {
  type Copy = { metadata: Record<string, string>; tensors: Map<string, StoredArray> }
  const changed = (change: (copy: Copy) => void): string => {
    const read = readArrays(file)
    const copy: Copy = { metadata: { ...read.metadata }, tensors: new Map(read.tensors) }
    change(copy)
    const path = join(temporaryFolder(), 'changed.safetensors')
    writeSafetensors(path, copy.tensors, copy.metadata)
    return path
  }

  it('equals every mask, and the order of the draws', () => {
    const { checks, notSupported, passed } = verifyFile(file)
    const found = checks.map(({ name, largestDifference, tolerance }) => [name, largestDifference, tolerance])
    const names = ['amt', 'attmaskHigh', 'attmaskHint', 'attmaskLow', 'milan', 'milanOrder']
    expect(found.sort()).toEqual(names.map((name) => [`out.${name}`, 0, 0]))
    expect([notSupported, passed]).toEqual([[], true])
  })

  it('finds another mask', () => {
    const path = changed(({ metadata }) => {
      metadata.config = metadata.config!.replace('"milanRatio": 0.75', '"milanRatio": 0.7')
    })
    const wrong = verifyFile(path).checks.filter(({ passed }) => !passed)
    expect(wrong).toMatchObject([{ name: 'out.milan', wrong: expect.stringMatching(/^12 of 256 numbers/) }])
  })

  it('says what it does not know', () => {
    const path = changed(({ tensors }) => tensors.set('expected.out.other', tensors.get('expected.out.amt')!))
    expect(verifyFile(path)).toMatchObject({ notSupported: ['expected.out.other'], passed: false })
  })

  it.each<[string, RegExp, (copy: Copy) => void]>([
    ['no race', /has no tensor "input.race"/, ({ tensors }) => void tensors.delete('input.race')],
    [
      'a race of another shape',
      /input.race: expected \[4, 64\]/,
      ({ tensors }) => void tensors.set('input.race', tensors.get('input.gate')!),
    ],
    [
      'a share above 1',
      /metadata "config" does not fit/,
      ({ metadata }) => {
        metadata.config = metadata.config!.replace('0.75', '7.5')
      },
    ],
  ])('refuses %s', (_, message, change) => {
    expect(() => verifyFile(changed(change))).toThrow(message)
  })
})
