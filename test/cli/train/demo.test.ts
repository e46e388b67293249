// The demonstration on images of one's own, and the page that it ends with: whole, alone, and true.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import sharp from 'sharp'
import { beforeAll, describe, expect, it } from 'vitest'
import { hasDisplay } from '../../../src/cli/open-page.ts'
import { type DemoFacts, demoPage } from '../../../src/cli/train/demo-page.ts'
import { expectSchema, inProcess, workFolder } from '../sherd.ts'

describe('sherd demo --data', () => {
  let dir: string
  const demo = (...args: string[]) =>
    inProcess(['demo', '--data', 'few', '--steps', '4', ...args], { cwd: dir })

  // Few, small, large, grey, transparent, tall and wide.
  beforeAll(async () => {
    dir = await workFolder()
    mkdirSync(join(dir, 'few'))
    for (const [i, [width, height, channels]] of (
      [
        [20, 90, 3],
        [300, 40, 3],
        [64, 64, 4],
      ] as const
    ).entries())
      await sharp({
        create: { width, height, channels, background: { r: 80 * i, g: 90, b: 200, alpha: 0.5 } },
      })
        .png()
        .toFile(join(dir, `few/${i}.png`))
    await sharp({ create: { width: 50, height: 70, channels: 3, background: '#777' } })
      .greyscale()
      .jpeg()
      .toFile(join(dir, 'few/grey.jpg'))
  })

  it('trains on them, says what it did, and writes the page', async () => {
    const { status, stdout, stderr } = await demo()
    expect([status, stderr]).toEqual([
      0,
      expect.stringContaining('4 images: each is cut at random into squares of 48 × 48 pixels'),
    ])
    expect(stderr).toContain('learned by heart')
    expect(stdout).toContain('page: runs/demo-few/demo.html')
    expect(stdout).toMatch(/Open it in a browser: file:\/\/\/.*runs\/demo-few\/demo\.html/)
    const page = readFileSync(join(dir, 'runs/demo-few/demo.html'), 'utf8')
    expect(page).toContain('What sherd learned from your images in few')
    expect(page).toContain('4 images, each about 64 times') // 4 steps of 64 samples
    expect(page.match(/src="data:image\/png;base64,iVBOR/g)).toHaveLength(2)
    expect(page).toContain('demo-few --data few --out')
  })

  it('says that it is complete, and refuses another length', async () => {
    const again = await demo('--json')
    expect(again.stderr).toContain('complete already')
    expect(again.json()).toEqual([
      { kind: 'demo', run: join(dir, 'runs/demo-few'), page: join(dir, 'runs/demo-few/demo.html') },
    ])
    expectSchema(again.json()[0]!, ['demo'])
    const other = await inProcess(['demo', '--data', 'few', '--steps', '5'], { cwd: dir })
    expect([other.status, other.stderr]).toEqual([
      2,
      expect.stringMatching(/mae-demo, 4 steps.*mae-demo, 5 steps.*--overwrite/),
    ])
  })

  it('replaces it, and leaves it where the new one cannot begin', async () => {
    const { status } = await inProcess(['demo', '--data', 'few', '--steps', '2', '--overwrite'], { cwd: dir })
    expect(status).toBe(0)
    expect(readFileSync(join(dir, 'runs/demo-few/demo.html'), 'utf8')).toContain('; 2 steps;')
    expect(readdirSync(join(dir, 'runs')).filter((name) => name.includes('replaced'))).toEqual([])
  })

  it('replaces runs alone', async () => {
    mkdirSync(join(dir, 'mine/demo-few'), { recursive: true })
    writeFileSync(join(dir, 'mine/demo-few/thesis.txt'), 'all of it')
    const args = ['demo', '--data', 'few', '--steps', '2', '--overwrite', '--out', 'mine']
    const { status, stderr } = await inProcess(args, { cwd: dir })
    expect([status, stderr]).toEqual([
      2,
      expect.stringMatching(/demo-few is no run, so --overwrite does not replace it/),
    ])
    expect(readFileSync(join(dir, 'mine/demo-few/thesis.txt'), 'utf8')).toBe('all of it')
  })

  it('refuses a folder that is none', async () => {
    const { status, stderr } = await inProcess(['demo', '--data', 'nowhere'], { cwd: dir })
    expect([status, stderr]).toEqual([1, expect.stringContaining('Expected a folder of images')])
  })
})

describe('the page', () => {
  const facts: DemoFacts = {
    ...{
      of: 'your images in <b>&"a',
      images: 1200,
      steps: 100,
      batch: 64,
      parameters: 1_234_567,
      imageSize: 48,
    },
    ...{ hiddenShare: 0.75, time: '1 min 02 s', chance: 0.99 },
    losses: Array.from({ length: 100 }, (_, i) => ({ x: i + 1, y: 1.5 - i / 100 })),
    pictures: [25, 100].map((step) => ({ step, png: Buffer.from([137, 80, 78, 71]) })),
    next: [{ what: 'Search', command: "sherd index 'a<b' --out x" }],
  }

  it('asks for nothing beside itself, and escapes names', () => {
    const page = demoPage(facts)
    expect(page).not.toMatch(/(?:src|href)="(?!data:)|url\(|@import|<script/)
    expect(page).toContain('your images in &lt;b&gt;&amp;&quot;a')
    expect(page).toContain("sherd index 'a&lt;b' --out x")
    expect(page).toContain('prefers-color-scheme:dark')
    expect(page).toContain('width=device-width')
    for (const [image] of page.matchAll(/<img [^>]*>/g))
      expect(image).toMatch(/alt="After (25|100) steps: rows of images/)
  })

  it('says the loss in words: its median at the end, and what it means', () => {
    // The median of the last 11 of 100 values that fall by 0.01: the sixth from the end, 0.51 + 0.05.
    expect(demoPage(facts)).toContain('from 1.50 to 0.56; where nothing is learned it is 0.99.')
    expect(demoPage(facts)).toContain('It ends at 0.56.')
    expect(demoPage({ ...facts, chance: 0.5 })).toContain('it has not learned more than that yet')
    const one = demoPage({ ...facts, steps: 1, losses: [{ x: 1, y: 1.7 }], pictures: [], chance: null })
    expect(one).not.toMatch(/NaN|undefined|Infinity/)
  })
})

it('no browser is opened where no one sits in front of it', () => {
  expect(hasDisplay()).toBe(false) // no terminal here
})
