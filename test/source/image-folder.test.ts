import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openImageFolder } from '../../src/source/image-folder.ts'
import { listFiles } from '../../src/source/list-files.ts'

let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sherd-folder-'))
})
afterEach(() => rm(dir, { recursive: true, force: true }))

async function put(...files: string[]) {
  for (const file of files) {
    await mkdir(dirname(join(dir, file)), { recursive: true })
    await writeFile(join(dir, file), '')
  }
}

describe('openImageFolder', () => {
  it('lists every image below the folder, in code unit order, and nothing else', async () => {
    await put('b.JPG', 'a.png', 'B.jpg', 'sub/deep/ä.webp', 'sub/z.tiff', 'x.txt', 'jpg', '.hidden.png')
    await put('.git/c.png', 'q.jpe', 'q.jfif', 'q.jpeg', 'q.tif', 'q.avif', 'q.Gif', 'q.bmp', 'q.svg')
    const folder = await openImageFolder(dir)
    expect(folder.files).toEqual([
      'B.jpg',
      'a.png',
      'b.JPG',
      'q.Gif',
      'q.avif',
      'q.bmp',
      'q.jfif',
      'q.jpe',
      'q.jpeg',
      'q.tif',
      'sub/deep/ä.webp',
      'sub/z.tiff',
    ])
    expect(folder).toMatchObject({ dir, classes: [], labels: null })
    expect(folder.notes).toEqual([
      expect.stringMatching(
        /^2 files of .* are left out: \.svg \(1\), without an ending \(1\)\. Files ending in \.jpg /,
      ),
    ])
  })

  it('says once what is left out, and refuses classes that lose all their images', async () => {
    await put('cat/1.png', 'dog/1.png', 'dog/2.heic', 'dog/3.HEIC', 'cat/labels.csv', 'cat/README')
    expect((await openImageFolder(dir)).notes).toEqual([
      expect.stringMatching(/^2 files of .* are left out: \.heic\. /),
    ])
    await put('fox/1.heic', 'fox/2.jp2', 'fox/3.heic', 'fox/notes.txt')
    await expect(openImageFolder(dir)).rejects.toMatchObject({
      code: 'SOURCE',
      message: expect.stringMatching(
        /^The class "fox" of .* has no images: its 3 files are \.heic \(2\), \.jp2 \(1\)\. /,
      ),
    })
    await put('0.png') // an image beside the folders: they are no classes
    expect((await openImageFolder(dir)).labels).toBeNull()
  })

  it('takes the first-level sub-folders as classes when every image lies in one', async () => {
    await put('dog/1.png', 'cat/2.png', 'cat/young/3.png', 'cat/1.png', 'notes/read.me')
    const folder = await openImageFolder(dir)
    expect(folder.files).toEqual(['cat/1.png', 'cat/2.png', 'cat/young/3.png', 'dog/1.png'])
    expect(folder.classes).toEqual(['cat', 'dog'])
    expect([...(folder.labels ?? [])]).toEqual([0, 0, 0, 1])
  })

  it('gives labels for one class too', async () => {
    await put('only/1.png', 'only/2.png')
    const folder = await openImageFolder(dir)
    expect(folder.classes).toEqual(['only'])
    expect([...(folder.labels ?? [])]).toEqual([0, 0])
  })

  it('follows links, reads each folder once, and keeps a dangling link to an image', async () => {
    await put('real/a.png', 'apart/b.png', '.other/deep/c.png')
    await symlink(join(dir, 'real'), join(dir, 'apart', 'linked')) // read as `real`
    await symlink(join(dir, '.other'), join(dir, 'second')) // hidden where it is: read by the first link to it
    await symlink(join(dir, '.other'), join(dir, 'first'))
    await symlink(join(dir, '.other', 'deep'), join(dir, 'zeroth'))
    await symlink(dir, join(dir, 'real', 'up'))
    await symlink(join(dir, 'real', 'a.png'), join(dir, 'one.png'))
    await symlink('self', join(dir, 'self'))
    await symlink('nowhere', join(dir, 'gone.jpg'))
    await symlink('nowhere', join(dir, 'gone'))
    const { files, linkedFolders, notes } = await openImageFolder(dir)
    expect(notes).toEqual([
      expect.stringMatching(/links to folders .* count once: apart\/linked → .*, second → .*, zeroth → /),
      expect.stringMatching(/^2 files of .* are left out: without an ending\./),
    ])
    expect(files).toEqual(['apart/b.png', 'first/deep/c.png', 'gone.jpg', 'one.png', 'real/a.png'])
    const real = await realpath(dir)
    expect(linkedFolders).toEqual([
      { link: 'apart/linked', target: join(real, 'real') },
      { link: 'second', target: join(real, '.other') },
      { link: 'zeroth', target: join(real, '.other', 'deep') },
    ])
  })

  it('reads eight folders that link to each other once each', async () => {
    const names = Array.from({ length: 8 }, (_, i) => `f${i}`)
    await put(...names.map((name) => `${name}/${name}.png`))
    for (const from of names)
      for (const to of names) if (from !== to) await symlink(join(dir, to), join(dir, from, `to-${to}`))
    const { files, linkedFolders } = await openImageFolder(dir)
    expect(files).toEqual(names.map((name) => `${name}/${name}.png`))
    expect(linkedFolders).toHaveLength(56)
  })

  it('refuses more entries than it can hold, counting what links lead to', async () => {
    await put('a.png', 'b.png', 'deep/c.png')
    const kind = { name: 'images', extensions: ['.png'] }
    expect((await listFiles(dir, kind, { most: 4 })).files).toHaveLength(3)
    await expect(listFiles(dir, kind, { most: 3 })).rejects.toMatchObject({
      code: 'SOURCE',
      message: expect.stringMatching(/hold more than 3 files and folders: give a folder of images alone/),
    })
  })

  it.runIf(existsSync('/proc/self/status'))(
    'refuses /proc, and does not look into it from elsewhere',
    async () => {
      for (const place of ['/proc', '/proc/self', '/proc/sys/kernel'])
        await expect(openImageFolder(place)).rejects.toMatchObject({
          code: 'SOURCE',
          message: expect.stringContaining(`${place} belongs to /proc`),
        })
      await put('a.png')
      await symlink('/proc', join(dir, 'processes'))
      await symlink('/proc/self/root/proc/self', join(dir, 'process'))
      expect((await openImageFolder(dir)).files).toEqual(['a.png'])
    },
  )

  it('leaves out pipes that are named like images', async () => {
    await put('a.png')
    execFileSync('mkfifo', [join(dir, 'pipe.png')])
    await symlink(join(dir, 'pipe.png'), join(dir, 'linked.png'))
    expect((await openImageFolder(dir)).files).toEqual(['a.png'])
  })

  it('is the same from a relative path', async () => {
    await put('a.png')
    const there = process.cwd()
    process.chdir(dir)
    try {
      const folder = await openImageFolder('.')
      expect(folder.files).toEqual(['a.png'])
      expect(folder.dir).toBe(process.cwd())
    } finally {
      process.chdir(there)
    }
  })

  it('lists 5,000 files without opening them', async () => {
    await mkdir(join(dir, 'c'))
    await Promise.all(Array.from({ length: 5000 }, (_, i) => writeFile(join(dir, 'c', `${i}.jpg`), '')))
    const folder = await openImageFolder(dir)
    expect(folder.files.length).toBe(5000)
    expect(folder.files.slice(0, 3)).toEqual(['c/0.jpg', 'c/1.jpg', 'c/10.jpg'])
  })

  it('says what is wrong with a folder that has no images', async () => {
    await expect(openImageFolder(join(dir, 'no'))).rejects.toMatchObject({
      code: 'SOURCE',
      message: expect.stringMatching(/Expected a folder of images.*\/no: ENOENT/),
    })
    await put('b.txt', 'a.heic')
    await expect(openImageFolder(join(dir, 'b.txt'))).rejects.toThrow(/b\.txt is a file\. Give the folder/)
    await expect(openImageFolder(dir)).rejects.toMatchObject({
      code: 'SOURCE',
      message: expect.stringMatching(
        /No images in .*: 2 other files were seen, such as "a\.heic".*\.jpg.*\.gif/,
      ),
    })
  })

  it('says which folder cannot be read', async () => {
    await put('ok/a.png', 'locked/b.png')
    await chmod(join(dir, 'locked'), 0)
    await chmod(dir, 0o755)
    // Root can read everything; as nobody the lock holds.
    const isRoot = process.getuid?.() === 0
    if (isRoot) process.seteuid?.(65534)
    try {
      await expect(openImageFolder(dir)).rejects.toMatchObject({
        code: 'SOURCE',
        message: expect.stringMatching(/Cannot read the folder .*locked.*EACCES/),
      })
    } finally {
      if (isRoot) process.seteuid?.(0)
    }
  })
})
