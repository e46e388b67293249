import { describe, expect, it } from 'vitest'
import { openMaskedFolder } from '../../src/source/masked-folder.ts'
import { temporaryFolder } from '../tensor/temporary-folder.ts'

const files = { 'images/a.jpg': 'x', 'images/sub/b.PNG': 'x', 'masks/a.png': 'x', 'masks/sub/b.png': 'x' }

describe('openMaskedFolder', () => {
  it('pairs images and masks by name, and reads the names of the classes', async () => {
    const dir = temporaryFolder({ ...files, 'classes.txt': 'sky\r\nold house \n\n' })
    const folder = await openMaskedFolder(dir)
    expect(folder.images.files).toEqual(['a.jpg', 'sub/b.PNG'])
    expect(folder.masks).toEqual([`${dir}/masks/a.png`, `${dir}/masks/sub/b.png`])
    expect(folder.classes).toEqual(['sky', 'old house'])
  })

  it('takes masks of any case and of TIFF, but not two for one image', async () => {
    const dir = temporaryFolder({
      'images/a.JPG': 'x',
      'images/b.jpg': 'x',
      'images/c.jpg': 'x',
      'masks/a.PNG': 'x',
      'masks/b.tif': 'x',
      'masks/c.TIFF': 'x',
      'masks/c.txt': 'x',
    })
    expect((await openMaskedFolder(dir)).masks).toEqual([
      `${dir}/masks/a.PNG`,
      `${dir}/masks/b.tif`,
      `${dir}/masks/c.TIFF`,
    ])
    const twice = temporaryFolder({ ...files, 'masks/a.tif': 'x' })
    await expect(openMaskedFolder(twice)).rejects.toThrow(/two masks for one image: a\.png and a\.tif/)
  })

  it('finds the names above the folders of a split, and does without', async () => {
    const dir = temporaryFolder({
      'train/images/a.jpg': 'x',
      'train/masks/a.png': 'x',
      'classes.txt': 'a\nb',
    })
    expect((await openMaskedFolder(`${dir}/train`)).classes).toEqual(['a', 'b'])
    expect((await openMaskedFolder(temporaryFolder(files))).classes).toBeNull()
  })

  it.each([
    ['no masks at all', { 'images/a.jpg': 'x' }, 'to have two folders: "images", and "masks"'],
    ['a mask that is missing', { ...files, 'images/c.jpg': 'x' }, '1 of 3 images'],
    ['one class', { ...files, 'classes.txt': 'sky\n' }, 'got 1'],
    ['a name twice', { ...files, 'classes.txt': 'sky\nsea\nsky' }, 'line 3 is "sky"'],
    ['an empty name', { ...files, 'classes.txt': 'sky\n\nsea' }, 'line 2 is ""'],
    ['no images', { 'images/a.txt': 'x', 'masks/a.png': 'x' }, 'No images in'],
  ])('refuses %s', async (_, given, message) => {
    await expect(openMaskedFolder(temporaryFolder(given))).rejects.toThrow(message)
  })
})
