import { expect, it } from 'vitest'
import { aptCommand, installByHand } from '../../src/tensor/install-hints.ts'

it('the hints name every way, each with what to type', () => {
  expect(aptCommand).toBe('apt-get install -y --no-install-recommends g++ libtorch-dev libopenblas0-openmp')
  for (const part of [
    aptCommand,
    'export LIBTORCH=',
    'export LIBTORCH_USE_PYTORCH=1',
    'brew install pytorch',
  ])
    expect(installByHand).toContain(part)
})
