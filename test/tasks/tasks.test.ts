// The commands of the task pages, as they stand there, end with what the pages say.
import { execFileSync, spawn } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import sharp from 'sharp'
import ts from 'typescript'
import { expect, it } from 'vitest'
import { packageRoot } from '../../src/package-root.ts'
import { start, tinyModel, until, workFolder } from '../cli/sherd.ts'
import { commandsOf, fileOf, runPage, smallerPhotos, textOfPage } from './run-page.ts'

/** Width and height of a picture that shows something: it has more than a few colours. */
async function lookAt(path: string): Promise<{ width: number; height: number }> {
  const { channels } = await sharp(path).stats()
  expect(Math.max(...channels.map(({ stdev }) => stdev))).toBeGreaterThan(10) // a blank sheet: 0
  const { width, height } = await sharp(path).metadata()
  return { width, height }
}
const rowsOf = (path: string) =>
  readFileSync(path, 'utf8')
    .trim()
    .split('\n')
    .map((line) => line.split(','))

it('I have 5,000 photos', async () => {
  const cwd = await workFolder()
  // `plan` times this machine for a minute: test/plan.
  await runPage('photos.md', {
    ...{ cwd, smaller: smallerPhotos },
    skip: (command) => command.startsWith('npx sherd plan'),
  })
  for (const name of ['reconstruction.png', 'found.png', 'clusters.png', 'runs/photos/loss-curve.png'])
    await lookAt(join(cwd, name))
})

it('find duplicates', async () => {
  const cwd = await workFolder()
  await runPage('duplicates.md', { cwd, smaller: smallerPhotos })
  await lookAt(join(cwd, 'duplicates.png'))
  const [, ...rows] = rowsOf(join(cwd, 'duplicates.csv'))
  const groupOf = new Map(rows.map(([group, file]) => [file!, group!]))
  const copied = readdirSync(join(cwd, 'photos/clouds'))
  expect(copied).toHaveLength(6)
  for (const name of copied) {
    expect(groupOf.get(`clouds/${name}`)).toBeDefined()
    expect(groupOf.get(`holiday/${name}`)).toBe(groupOf.get(`clouds/${name}`))
  }
})

it('a classifier from 200 labels', async () => {
  const cwd = await workFolder()
  await runPage('few-labels.md', { cwd, smaller: smallerPhotos })
  await lookAt(join(cwd, 'reports/finetune/confusion.png'))
  const [head, ...rows] = rowsOf(join(cwd, 'predictions.csv'))
  expect(rows).toHaveLength(60)
  const at = head!.indexOf('probability')
  for (const row of rows) expect(Number(row[at])).toBeGreaterThan(0.1 - 1e-6) // the likeliest of ten
  const table = readFileSync(join(cwd, 'table.md'), 'utf8')
  for (const name of ['scratch', 'linear', 'finetune']) expect(table).toContain(name)
})

it('satellite scenes', async () => {
  const cwd = await workFolder()
  const smaller = {
    commands: {
      'sample-data': { '--count': 24, '--dates': 2 },
      pretrain: { '--steps': 4 },
      'evaluate linear': { '--seeds': 1 },
    },
    model: tinyModel({
      'model.imageSize': 48,
      'model.patchSize': 8,
      'model.groupWidth': 16,
      'decoder.groupWidth': 8,
    }),
  }
  await runPage('satellite.md', { cwd, smaller })
  for (const name of ['reconstruction.png', 'clusters.png', 'outliers.png']) {
    const { width, height } = await lookAt(join(cwd, name))
    expect(Math.max(width, height)).toBeLessThanOrEqual(2000)
  }
})

it('your Node service, without LibTorch', async () => {
  const cwd = await workFolder()
  const page = textOfPage('node-service.md')
  const later = ['npx sherd serve', 'node service.ts', 'curl']
  await runPage('node-service.md', {
    ...{ cwd, smaller: smallerPhotos },
    skip: (command) => later.some((words) => command.startsWith(words)),
  })
  writeFileSync(join(cwd, 'package.json'), '{"type": "module"}')
  mkdirSync(join(cwd, 'node_modules'))
  symlinkSync(packageRoot(), join(cwd, 'node_modules/sherd'))
  const program = (name: string, code: string) =>
    writeFileSync(
      join(cwd, name),
      ts.transpileModule(code, {
        compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 },
      }).outputText,
    )
  const env = { ...process.env, LIBTORCH: '/nonexistent', PORT: '0' }
  const query = 'photos/mountains/00003.jpg'

  // Beside it: "sherd serve", asked as the page asks.
  const server = start(['serve', '--model', 'models', '--index', 'photos.index', '--port', '0'], { cwd, env })
  await until(() => /http:\S+/.test(server.stdout()), 'sherd serve')
  const [, port] = server.stdout().match(/http:\/\/127\.0\.0\.1:(\d+)/)!
  const [, client] = page.match(/^```ts\n(.*?)^```/ms)!
  program('client.js', client!.replace('8080', port!))
  const asked = execFileSync(process.execPath, ['client.js'], { cwd, env, encoding: 'utf8' })
  expect(asked).toContain('mountains/')
  server.kill('SIGTERM')

  // In its own process.
  program('service.js', fileOf(page, 'service.ts'))
  const service = spawn(process.execPath, ['service.js'], { cwd, env })
  try {
    let said = ''
    service.stdout.on('data', (text) => {
      said += text
    })
    service.stderr.on('data', (text) => {
      said += text
    })
    await until(() => said.includes('listening on') || service.exitCode !== null, 'the service')
    const [, own] = said.match(/127\.0\.0\.1:(\d+)/) ?? [null, said]
    const curl = commandsOf(page).find((command) => command.startsWith('curl'))!
    const send = (command: string) =>
      JSON.parse(
        execFileSync('bash', ['-c', command.replace('localhost:3000', `127.0.0.1:${own}`)], {
          cwd,
          encoding: 'utf8',
        }),
      ) as unknown
    const found = send(curl.replace('curl', 'curl -s')) as { file: string; similarity: number }[]
    expect(found).toHaveLength(5)
    expect(found[0]!.file).toBe('mountains/00003.jpg')
    expect(found[0]!.similarity).toBeGreaterThan(0.9999)
    expect(found[4]!.similarity).toBeLessThan(found[0]!.similarity)
    expect(send(curl.replace('curl', 'curl -s').replace(query, 'package.json'))).toMatchObject({
      error: expect.stringContaining('JPEG') as string,
    })
    service.kill('SIGTERM')
    await until(() => service.exitCode !== null, 'the end of the service')
    expect(service.exitCode).toBe(0)
  } finally {
    service.kill('SIGKILL')
  }
  await server.ended
})
