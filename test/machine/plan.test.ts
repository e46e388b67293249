import { existsSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { describe, expect, it } from 'vitest'
import { hasFastBfloat16, type MachineRequest, planMachine } from '../../src/machine/plan.ts'
import { engineBuild } from '../../src/tensor/context.ts'

const cores = availableParallelism()
const onCpu: MachineRequest = { device: 'cpu', precision: 'auto', threads: 0, workers: 0 }
const { cudaDevices, oneDnn } = engineBuild()

describe('planMachine on the CPU', () => {
  it('takes bfloat16 by itself exactly where the CPU has a unit for it', () => {
    const cpu = existsSync('/proc/cpuinfo') ? readFileSync('/proc/cpuinfo', 'utf8') : ''
    const unit = /\b(amx_bf16|avx512_bf16)\b/.test(cpu) && oneDnn
    expect(hasFastBfloat16('cpu')).toBe(unit)
    expect(planMachine(onCpu).precision).toBe(unit ? 'bfloat16' : 'float32')
  })

  it('takes the precision that was asked for', () => {
    expect(planMachine({ ...onCpu, precision: 'fp32' }).precision).toBe('float32')
    expect(planMachine({ ...onCpu, precision: 'bf16' }).precision).toBe('bfloat16')
  })

  it('gives every core to the operators and at least one thread to decoding', () => {
    expect(planMachine(onCpu)).toMatchObject({
      device: 'cpu',
      threads: cores,
      decodeThreads: Math.max(1, Math.floor(cores / 4)),
    })
    expect(planMachine({ ...onCpu, threads: 3, workers: 5 })).toMatchObject({ threads: 3, decodeThreads: 5 })
    expect(planMachine({ ...onCpu, threads: 1024 }).threads).toBe(Math.min(1024, 4 * cores))
  })
})

describe('planMachine without a GPU', () => {
  it('falls back to the CPU by itself, and says what to do when CUDA was asked for', ({ skip }) => {
    skip(cudaDevices > 0, 'this machine has a GPU')
    expect(planMachine({ ...onCpu, device: 'auto' }).device).toBe('cpu')
    expect(() => planMachine({ ...onCpu, device: 'cuda' })).toThrow(
      expect.objectContaining({
        code: 'VALUE',
        message: expect.stringMatching(
          /^Device "cuda" was asked for, but .*LibTorch \d.* take --device cpu/,
        ) as string,
      }),
    )
  })
})

describe('planMachine with a GPU', () => {
  it('takes it by itself and leaves the cores to decoding', ({ skip }) => {
    skip(cudaDevices === 0, 'this machine has no GPU that LibTorch can use')
    const { device, decodeThreads } = planMachine({ ...onCpu, device: 'auto' })
    expect([device, decodeThreads]).toEqual(['cuda', Math.max(1, cores - 1)])
  })
})
