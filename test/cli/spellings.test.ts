import { Command } from 'commander'
import { describe, expect, it } from 'vitest'
import { pixels, wholeNumber } from '../../src/cli/options.ts'
import { argumentOrOption, oldSpelling } from '../../src/cli/spellings.ts'
import { inProcess } from './sherd.ts'

/** What the action of a command with `[dir]` and `--count` is called with. */
async function called(args: readonly string[], required = true): Promise<unknown[]> {
  const command = new Command('toy').exitOverride().configureOutput({ outputError: () => {} })
  let given: unknown[] = []
  command
    .argument('[dir]', 'folder')
    .option('--count <n>', '', wholeNumber(1))
    .action((dir, { count }) => {
      given = [dir, count]
    })
  argumentOrOption(command, '--data <dir>', { required })
  oldSpelling(command, '--limit <n>', '--count')
  await command.parseAsync(args, { from: 'user' })
  return given
}

describe('an argument that is an option, too', () => {
  it('is the same either way, once', async () => {
    expect(await called(['a'])).toEqual(['a', undefined])
    expect(await called(['--data', 'a'])).toEqual(['a', undefined])
    expect(await called([], false)).toEqual([undefined, undefined])
    await expect(called(['a', '--data', 'b'])).rejects.toThrow(
      "'dir' and option '--data <dir>' exclude each other",
    )
    await expect(called([])).rejects.toThrow("missing required argument 'dir'")
  })
})

describe('an old spelling', () => {
  it('sets the option, with its parser', async () => {
    expect(await called(['a', '--limit', '3'])).toEqual(['a', 3])
    await expect(called(['a', '--limit', 'x'])).rejects.toThrow('Expected a whole number of at least 1')
  })

  it.each([
    [['reconstruct', '--run', 'r', '--images', 'd', '--data', 'e', '--out', 'x.png'], 'exclude each other'],
    [['export', 'onnx', '--run', 'nowhere', '--images', 'd', '--out', 'x'], 'nowhere does not exist'],
    [['pack', '--data', 'nowhere', '--limit', '1', '--out', 'x'], 'nowhere'],
  ])('%j is understood', async (args, message) => {
    expect((await inProcess(args)).stderr).toContain(message)
  })

  it('is not shown', async () => {
    expect((await inProcess(['pack', '--help'])).stdout).not.toContain('--limit')
  })
})

it('takes pixels as a number, or in millions', () => {
  expect([pixels('50M'), pixels('0.5M'), pixels('12345')]).toEqual([50e6, 500_000, 12_345])
  for (const wrong of ['0', '50 MP', '-1', '0.5', '1k', ''])
    expect(() => pixels(wrong)).toThrow('such as 50000000 or 50M')
})
