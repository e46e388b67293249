// What `sherd` alone shows: five things with one's own images, which the parser takes, on a terminal of 40 columns.
import { expect, it } from 'vitest'
import { program } from '../../src/cli/main.ts'
import { inProcess } from './sherd.ts'

it('shows five things to try, and where the rest is', async () => {
  const { status, stdout, stderr } = await inProcess([])
  expect([status, stderr]).toEqual([0, ''])
  for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(40)
  expect(stdout.match(/^[1-5]\. /gm)).toHaveLength(5)
  const commands = stdout
    .replaceAll('\\\n', '')
    .match(/^ npx sherd .*$/gm)!
    .map((line) => line.trim().split(/\s+/).slice(2))
  expect(commands).toHaveLength(7)
  for (const [name, ...rest] of commands.filter(([name]) => name !== '--help')) {
    const command = program().commands.find((each) => each.name() === name)!
    for (const option of rest.filter((each) => each.startsWith('--')))
      expect(command.options.some(({ long, short }) => [long, short].includes(option))).toBe(true)
  }
})
