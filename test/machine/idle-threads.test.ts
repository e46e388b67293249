import { afterEach, expect, it } from 'vitest'
import { letWaitingThreadsSleep } from '../../src/machine/idle-threads.ts'

const before = { ...process.env }
afterEach(() => {
  process.env = { ...before }
})

it('lets threads sleep, unless the user has decided', () => {
  delete process.env.GOMP_SPINCOUNT
  letWaitingThreadsSleep()
  expect(process.env.GOMP_SPINCOUNT).toBe('0')
  process.env.GOMP_SPINCOUNT = '500'
  letWaitingThreadsSleep()
  expect(process.env.GOMP_SPINCOUNT).toBe('500')
  delete process.env.GOMP_SPINCOUNT
  process.env.OMP_WAIT_POLICY = 'active'
  letWaitingThreadsSleep()
  expect(process.env.GOMP_SPINCOUNT).toBeUndefined()
})
