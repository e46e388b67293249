import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { inProcess, sherd, workFolder } from '../sherd.ts'

describe.concurrent('sherd doctor', () => {
  it('passes where the tests run', async () => {
    const { status, stdout } = await sherd(['doctor'])
    expect(status).toBe(0)
    for (const name of [
      'Node.js',
      'LibTorch',
      'BLAS',
      'float32 product',
      'bfloat16 product',
      'threads',
      'CUDA',
      'sharp',
    ])
      expect(stdout).toMatch(new RegExp(`^(ok|slow) +${name} +\\S`, 'm'))
  })

  it('fails without LibTorch, and says where it looked and what to do', async () => {
    const env = { LIBTORCH: '/nonexistent' }
    const [human, machine] = await Promise.all([
      sherd(['doctor'], { env }),
      sherd(['doctor', '--json'], { env }),
    ])
    expect(human.status).toBe(1)
    expect(human.stdout).toMatch(
      /^FAIL +LibTorch by LIBTORCH=\/nonexistent +\/nonexistent does not exist\n +→ .*LIBTORCH/m,
    )
    expect(machine.status).toBe(1)
    const findings = machine.json()[0]?.findings as { status: string; fix?: string }[]
    for (const finding of findings) if (finding.status !== 'ok') expect(finding.fix).toMatch(/\S/)
    expect(findings.map(({ status }) => status)).toContain('fail')
  })

  it('fails where LibTorch is asked of a Python that has none', async ({ expect }) => {
    const { status, stdout } = await sherd(['doctor'], {
      env: { LIBTORCH: undefined, LIBTORCH_USE_PYTORCH: '1', PATH: '/nonexistent' },
    })
    expect(status).toBe(1)
    expect(stdout).toMatch(
      /^FAIL +LibTorch by LIBTORCH_USE_PYTORCH=1 +python3 could not be asked.*\n +→ .*pip install torch/m,
    )
  })
})

describe('sherd doctor --report', () => {
  it('writes what was found to a file that is not there, and no names', async () => {
    const cwd = await workFolder()
    const first = await inProcess(['doctor', '--report'], { cwd })
    expect(first).toMatchObject({ status: 0, stdout: 'report: sherd-report.md\n' })
    const text = readFileSync(join(cwd, 'sherd-report.md'), 'utf8')
    expect(text).toMatch(/^# Report for sherd\n.*\| ok \| LibTorch \| \d/s)
    expect(text).not.toContain(process.cwd())
    const again = await inProcess(['doctor', '--report'], { cwd })
    expect(again.status).not.toBe(0)
    expect(again.stderr).toMatch(/sherd-report\.md is there already\. .*--overwrite/)
  })
})

it('sherd doctor --presets refuses a preset that is not there, before it measures', async () => {
  const { status, stdout, stderr } = await inProcess(['doctor', '--presets', 'mae-tiny-cifar'])
  expect(status).toBe(2)
  expect(stdout).toBe('')
  expect(stderr).toMatch(/There is no preset "mae-tiny-cifar"\. Did you mean "?mae-tiny-cifar10/)
})
