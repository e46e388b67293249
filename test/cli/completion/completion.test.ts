// The scripts are sourced by the shells themselves; zsh and fish where they are installed.
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { completionScript } from '../../../src/cli/completion/completion.ts'
import { program } from '../../../src/cli/main.ts'

const cwd = mkdtempSync(join(tmpdir(), 'sherd-completion-'))
afterAll(() => rmSync(cwd, { recursive: true, force: true }))
beforeAll(async () => {
  for (const dir of ['photos', 'phases of the moon']) mkdirSync(join(cwd, dir))
  writeFileSync(join(cwd, 'phone.npy'), '')
  const root = program()
  for (const shell of ['bash', 'zsh', 'fish'] as const)
    writeFileSync(join(cwd, `sherd.${shell}`), await completionScript(root, shell))
})

const run = (shell: string, script: string): string => {
  const { stdout, stderr, status } = spawnSync(shell, ['-c', script], {
    cwd,
    encoding: 'utf8',
    env: { ...process.env, HOME: cwd },
  })
  expect([status, stderr]).toEqual([0, ''])
  return stdout
}
const has = (shell: string) => spawnSync(shell, ['-c', 'true']).status === 0

/** What follows when Tab is pressed after each line. */
const cases: [line: string, words: string[]][] = [
  ['sherd eval', ['evaluate']],
  ['sherd evaluate ', ['knn', 'linear', 'fewshot', 'frozen', 'finetune', 'partial', 'scratch', 'segment']],
  ['sherd evaluate knn --mode', ['--model', '--model-seed']],
  ['sherd export onnx --out x --precision i', ['int8']],
  ['sherd serve --precision fp', ['fp32', 'fp16']],
  ['sherd pretrain mae-t', ['mae-tiny-cifar10']],
  ['sherd embed photos --preset satmae-b', ['satmae-base-sentinel2']],
  ['sherd pretrain --device c', ['cpu', 'cuda']],
  ['sherd pretrain --set decoder.wi', ['decoder.width=']],
  ['sherd pretrain --data pho', ['photos']],
  ['sherd search pho', ['photos', 'phone.npy']],
  ['sherd evaluate knn --seeds ', []],
  ['sherd completion ', ['bash', 'zsh', 'fish']],
  ['sherd pack --lim', []],
]

describe('completion in bash', () => {
  const reply = (line: string): string =>
    `COMP_LINE='${line}' COMP_POINT=${line.length}; _sherd; printf '%s\\n' "\${COMPREPLY[@]}"; echo ---`
  const answers = (lines: readonly string[]): string[][] =>
    run('bash', `source sherd.bash; ${lines.map(reply).join('; ')}`)
      .split('---\n')
      .slice(0, -1)
      .map((part) => part.split('\n').filter(Boolean))

  it('gives commands, options, choices, presets, keys and files', () => {
    expect(answers(cases.map(([line]) => line)).map((words) => words.sort())).toEqual(
      cases.map(([, words]) => [...words].sort()),
    )
  })

  it('gives the values of keys, second values, and folders with spaces', () => {
    const lines = [
      'sherd pretrain --set optim.optimizer=',
      'sherd export onnx --precision fp32 i',
      'sherd embed ph',
    ]
    expect(answers(lines)).toEqual([
      ['adamw', 'adam', 'lars', 'sgd'],
      ['int8'],
      expect.arrayContaining(['photos', 'phases of the moon']),
    ])
  })
})

describe.skipIf(!has('fish'))('completion in fish', () => {
  it.each(cases)('%s', (line, words) => {
    const given = run('fish', `source sherd.fish; complete -C '${line}'`)
      .split('\n')
      .filter(Boolean)
      .map((row) => row.split('\t')[0]!.replace(/\/$/, ''))
    expect(given.sort()).toEqual([...words].sort())
  })
})

it.skipIf(!has('zsh'))('zsh can read its script', () => {
  expect(run('zsh', 'zsh -n sherd.zsh')).toBe('')
})
