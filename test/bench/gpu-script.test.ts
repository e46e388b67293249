// scripts/gpu.mjs where nothing can be computed: what it leaves out, and says.
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { packageRoot } from '../../src/package-root.ts'
import { temporaryFolder } from '../tensor/temporary-folder.ts'

function gpu(...args: string[]) {
  const folder = temporaryFolder({})
  const places = args[0] === 'pack' ? [] : ['--out', join(folder, 'out'), '--work', join(folder, 'work')]
  const script = join(packageRoot(), 'scripts/gpu.mjs')
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, ...args, ...places], {
    encoding: 'utf8',
  })
  return { status, stdout, stderr, out: join(folder, 'out') }
}

it('leaves out stages that do not fit or lack something, and writes so at once', () => {
  const { status, stdout, out } = gpu('--device', 'cpu', '--stages', 'doctor,train', '--minutes', '0.2')
  expect(stdout).toMatch(/== doctor: not run, \d+ s are left and it takes at least 20/)
  expect(stdout).toContain('== pretrain: not run, no --data')
  expect(stdout).toContain('== tune: not run, no --data and no --model')
  expect(status).toBe(0)
  const written = readdirSync(out)
  const results = written.find((name) => name.endsWith('-cpu-training.json'))
  expect(written.some((name) => name === 'checks-cpu.txt')).toBe(true)
  const { stages } = JSON.parse(readFileSync(join(out, results!), 'utf8')) as {
    stages: Record<string, { notRun?: string }>
  }
  expect(Object.keys(stages)).toEqual(['doctor', 'pretrain', 'probe', 'tune'])
  expect(stages.probe).toEqual({ notRun: 'no --data and no --model' })
})

it.each<[string, string[], RegExp]>([
  ['a stage that there is not', ['--stages', 'build,sleep'], /no stage "sleep"; there are build, doctor/],
  ['no time', ['--minutes', 'few'], /--minutes is a number above 0/],
  ['a size that is none', ['pack', '--limit', 'much'], /--limit is a size such as 45M, not much/],
  ['images that are not there', ['pack', '--data', '/nowhere.tar.gz'], /there is no \/nowhere.tar.gz/],
])('refuses %s', (_, args, said) => {
  const { status, stderr } = gpu(...args)
  expect(stderr).toMatch(said)
  expect(status).toBe(2)
})
