import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { writeSafetensors } from '../../../src/checkpoint/safetensors.ts'
import { packageRoot } from '../../../src/package-root.ts'
import { engineBuild } from '../../../src/tensor/context.ts'
import { inProcess, workFolder } from '../sherd.ts'

const folder = join(packageRoot(), 'test/reference')
const references = readdirSync(folder)
  .filter((name) => name.endsWith('.safetensors'))
  .map((name) => join(folder, name))

/** A copy of a reference file with `by` added to the first number of one of its tensors. */
async function tampered(tensor: string, by: number): Promise<string> {
  const bytes = readFileSync(references[0]!)
  const header = Number(bytes.readBigUInt64LE(0))
  const entries = JSON.parse(bytes.toString('utf8', 8, 8 + header)) as Record<
    string,
    { data_offsets: [number, number] }
  >
  const at = 8 + header + entries[tensor]!.data_offsets[0]
  bytes.writeFloatLE(bytes.readFloatLE(at) + by, at)
  const path = join(await workFolder(), 'tampered.safetensors')
  writeFileSync(path, bytes)
  return path
}

/** A file of one pixel mirrored, into a folder; `byte` is what should come out for 7. */
function operatorFile(path: string, byte: number, objective = 'augment'): string {
  const steps = [{ operator: 'flip' }]
  const config = JSON.stringify({ cases: { mirror: { image: 'a', steps } } })
  const pixel = (value: number) =>
    ({ dtype: 'uint8', shape: [1, 1, 3], data: Uint8Array.of(1, value, 3) }) as const
  const tensors = new Map([
    ['input.image.a', pixel(7)],
    ['expected.out.mirror', pixel(byte)],
  ])
  writeSafetensors(path, tensors, { format: 'sherd-reference/2', objective, config })
  return path
}

describe.concurrent('sherd verify', () => {
  it('passes the reference files, and prints the largest difference of each kind', async () => {
    const { status, stdout } = await inProcess(['verify', ...references])
    expect(status).toBe(0)
    expect(stdout.match(/: passed, \d+ checks$/gm)).toHaveLength(references.length)
    for (const kind of ['loss', 'pred', 'mask', 'latent', 'grad\\.\\S+', 'losses', 'final\\.\\S+'])
      expect(
        stdout.match(
          new RegExp(`^  ${kind} \\(worst of \\d+\\) +\\d\\.\\d\\de[+-]\\d+ +\\de[+-]\\d+  ok$`, 'gm'),
        ),
      ).toHaveLength(references.length)
  })

  it('computes on the device that was asked for', async () => {
    expect((await inProcess(['verify', references[0]!, '--device', 'auto'])).status).toBe(0)
    if (engineBuild().cudaDevices > 0) return
    const { status, stdout, stderr } = await inProcess(['verify', references[0]!, '--device', 'cuda'])
    expect([status, stdout]).toEqual([1, ''])
    expect(stderr).toContain('Device "cuda" was asked for')
  })

  it('prints every check for machines', async () => {
    const { status, json } = await inProcess(['verify', '--json', references[0]!])
    expect(status).toBe(0)
    const [result] = json() as unknown as {
      passed: boolean
      checks: { name: string; largestDifference: number; tolerance: number }[]
    }[]
    expect(result?.passed).toBe(true)
    expect(result?.checks.filter(({ name }) => name.startsWith('grad.')).length).toBeGreaterThan(20)
    for (const { name, largestDifference, tolerance } of result?.checks ?? [])
      expect(largestDifference, name).toBeLessThanOrEqual(tolerance)
  })

  it.each([
    ['expected.loss', 2e-5, 'loss'],
    ['expected.grad.cls_token', 2e-6, 'grad.cls_token'],
    ['expected.mask', 1, 'mask'],
    ['expected.final.norm.weight', 3e-4, 'final.norm.weight'],
  ])('fails when %s is off by %f, and says where', async (tensor, by, check) => {
    const { status, stdout } = await inProcess(['verify', await tampered(tensor, by)])
    expect(status).toBe(1)
    expect(stdout).toMatch(/FAILED, 1 of \d+ checks/)
    expect(stdout).toMatch(new RegExp(`^  ${check} .*  FAILED$`, 'm'))
  })

  it('fails on weights that are not those of the outputs', async () => {
    const { status, stdout } = await inProcess([
      'verify',
      await tampered('weights.patch_embed.proj.weight', 0.1),
    ])
    expect(status).toBe(1)
    for (const kind of ['loss', 'pred', 'latent'])
      expect(stdout).toMatch(new RegExp(`^  ${kind} .*  FAILED$`, 'm'))
    expect(stdout).toMatch(/^ {2}mask .* {2}ok$/m)
  })

  it.each<[string, (path: string) => void, RegExp]>([
    [
      'text',
      (path) => writeFileSync(path, 'This is not a reference file.'),
      /file cannot be read as safetensors: its header claims/,
    ],
    [
      'nothing',
      (path) => writeFileSync(path, ''),
      /file cannot be read as safetensors: it is only 0 bytes long/,
    ],
    [
      'half a file',
      (path) => writeFileSync(path, readFileSync(references[0]!).subarray(0, 100_000)),
      /truncated/,
    ],
    ['no file', () => {}, /Cannot open .*file: ENOENT/],
    [
      'other weights',
      (path) => {
        const header = Buffer.from('{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}  ')
        const length = Buffer.alloc(8)
        length.writeUInt32LE(header.length)
        writeFileSync(path, Buffer.concat([length, header, Buffer.alloc(4)]))
      },
      /is not a reference file that sherd can check: its format is not stated, expected "sherd-reference\/1" or "sherd-reference\/2"/,
    ],
  ])('refuses %s with a clear message', async (_, write, message) => {
    const path = join(await workFolder(), 'file')
    write(path)
    const { status, stdout, stderr } = await inProcess(['verify', path])
    expect([status, stdout, stderr]).toEqual([1, '', expect.stringMatching(message)])
    expect(stderr).not.toMatch(/\n {4}at /)
  })

  it('takes folders: a line for each reference file in them, a table where something is wrong, the worst status', async () => {
    const folder = await workFolder()
    const [right, wrong, later] = ['right', 'wrong', 'later'].map((name) => join(folder, name))
    for (const dir of [right!, join(right!, 'deeper'), wrong!, later!]) mkdirSync(dir)
    operatorFile(join(right!, 'a.safetensors'), 7)
    operatorFile(join(right!, 'deeper/b.safetensors'), 7)
    writeSafetensors(join(right!, 'weights.safetensors'), new Map(), {}) // no reference file
    writeFileSync(join(right!, 'notes.md'), 'text')
    operatorFile(join(wrong!, 'c.safetensors'), 8)
    operatorFile(join(later!, 'd.safetensors'), 7, 'swav')

    const good = await inProcess(['verify', right!])
    expect([good.status, good.stdout]).toEqual([
      0,
      `${right}/a.safetensors: passed, 1 check\n${right}/deeper/b.safetensors: passed, 1 check\n`,
    ])
    const unknown = await inProcess(['verify', later!, right!])
    expect([unknown.status, unknown.stdout.split('\n')[0]]).toEqual([
      3,
      `${later}/d.safetensors: not supported yet: objective "swav"`,
    ])
    const all = await inProcess(['verify', right!, wrong!, later!])
    expect([all.status, all.stderr]).toEqual([1, ''])
    expect(all.stdout).toContain(`${wrong}/c.safetensors: FAILED, 1 of 1 check\n`)
    expect(all.stdout).toMatch(/^ {2}out\.mirror +1\.00e\+0 +0e\+0 {2}FAILED$/m)
    expect(all.stdout).toContain('  out.mirror: 1 of 3 numbers, the first at [0, 0, 1]: 7, expected 8\n')
  })

  it('says in JSON what is not supported yet', async () => {
    const file = operatorFile(join(await workFolder(), 'x.safetensors'), 7, 'swav')
    const { status, json } = await inProcess(['verify', '--json', file])
    expect([status, json()]).toEqual([
      3,
      [{ kind: 'verification', file, checks: [], notSupported: ['objective "swav"'], passed: false }],
    ])
  })

  it('refuses a folder without reference files', async () => {
    const folder = await workFolder()
    const { status, stderr } = await inProcess(['verify', folder])
    expect([status, stderr]).toEqual([1, expect.stringContaining(`${folder} holds no reference files`)])
  })
})
