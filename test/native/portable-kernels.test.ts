// The kernels must compile for CPUs that this machine is not: without AVX-512, and with it but without bfloat16 products.
import { spawnSync } from 'node:child_process'
import { expect, it } from 'vitest'
import { planAddon } from '../../src/tensor/compile.ts'
import { requireLibTorch } from '../../src/tensor/libtorch.ts'

it.skipIf(process.arch !== 'x64').each(['x86-64-v3', 'skylake-avx512'])('compile for %s', (cpu) => {
  const { objects = [] } = planAddon(requireLibTorch())
  const kernels = objects.find(({ command }) => command.some((flag) => flag.endsWith('operators.cc')))
  const [program = '', ...flags] = kernels!.command
  const own = flags.filter((flag) => !/^-(march=|O\d|l|L|Wl|shared)/.test(flag))
  expect(own.filter((flag) => flag.endsWith('.cc'))).toHaveLength(1)
  const done = spawnSync(program, [...own, `-march=${cpu}`, '-fsyntax-only'], { encoding: 'utf8' })
  expect([done.status, done.stderr]).toEqual([0, ''])
})
