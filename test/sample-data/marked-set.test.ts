import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { type MarkedSet, writeMarkedSet } from '../../src/sample-data/marked-set.ts'
import { temporaryFolder } from '../tensor/temporary-folder.ts'

const setIn = (dir: string, change: Partial<MarkedSet> = {}): MarkedSet => ({
  dir,
  about: { format: 'test/1', count: 9 },
  folders: ['a', 'b/c'],
  count: 9,
  write: async (number) => writeFileSync(join(dir, 'a', `${number}`), ''),
  ...change,
})

describe('writeMarkedSet', () => {
  it('makes the folders, writes every item once, at most four at a time, and the marker last', async () => {
    const dir = join(temporaryFolder({}), 'set')
    const numbers: number[] = []
    const progress: string[] = []
    let now = 0
    let most = 0
    const write = async (number: number) => {
      numbers.push(number)
      most = Math.max(most, ++now)
      await sleep(2)
      expect(existsSync(join(dir, 'sample-data.json'))).toBe(false)
      now--
    }
    await writeMarkedSet(
      setIn(dir, { write, onProgress: (done, count) => progress.push(`${done}/${count}`) }),
    )
    expect(numbers).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8])
    expect([most, progress.at(-1), progress.length]).toEqual([4, '9/9', 9])
    expect(readdirSync(dir).sort()).toEqual(['a', 'b', 'sample-data.json'])
    expect(readFileSync(join(dir, 'sample-data.json'), 'utf8')).toBe('{"format":"test/1","count":9}\n')
  })

  it('stops at the first item that fails, says where, and leaves no marker', async () => {
    const dir = join(temporaryFolder({}), 'set')
    const numbers: number[] = []
    const write = async (number: number) => {
      numbers.push(number)
      if (number === 1) throw new Error('disk full')
      await sleep(5)
    }
    await expect(writeMarkedSet(setIn(dir, { write }))).rejects.toMatchObject({
      code: 'RUN',
      message: `Cannot write sample data to ${dir}: disk full`,
    })
    await sleep(20)
    expect(numbers).toEqual([0, 1, 2, 3])
    expect(readdirSync(dir).sort()).toEqual(['a', 'b'])
    await expect(writeMarkedSet(setIn(dir))).rejects.toThrow(/not empty and not a complete sample set/)
  })
})
