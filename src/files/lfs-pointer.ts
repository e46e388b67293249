/** Pointer files of Git LFS: a few lines of text in place of the real file. */

const START = 'version https://git-lfs.github.com/spec/'

export const isLfsPointer = (start: Uint8Array): boolean =>
  Buffer.from(start.buffer, start.byteOffset, Math.min(start.byteLength, START.length)).toString('latin1') ===
  START

export const lfsAdvice = 'it is a Git LFS pointer, not the file that it stands for: run "git lfs pull" there'
