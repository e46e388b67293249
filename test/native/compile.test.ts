import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { compileAddon, isCompiled } from '../../src/native/compile.ts'
import { temporaryFolder } from '../tensor/temporary-folder.ts'

let root: string
beforeEach(() => {
  root = temporaryFolder({})
})

describe('compileAddon', () => {
  // Stands for the compiler; called with `-o <temporary>` behind it.
  const shell = (script: string) => ({
    path: join(root, 'native/build/key/sherd.node'),
    command: ['/bin/sh', '-c', script],
    help: 'apt-get install a compiler',
  })

  it('puts the result in its place when it is whole', () => {
    const build = shell('printf built > "$1"')
    compileAddon(build)
    expect(isCompiled(build)).toBe(true)
    expect(readFileSync(build.path, 'utf8')).toBe('built')
    expect(readdirSync(join(root, 'native/build/key'))).toEqual(['sherd.node'])
  })

  it('says what the compiler said, with the command, and leaves nothing', () => {
    const build = shell(
      'printf half > "$1"; echo "addon.cc:3: error: no such thing" >&2; echo noise >&2; exit 4',
    )
    expect(() => compileAddon(build)).toThrow(
      expect.objectContaining({
        code: 'ENGINE_BUILD',
        message: expect.stringMatching(
          /status 4\):\naddon.cc:3: error: no such thing\nThe command was:\n\/bin\/sh -c/,
        ),
      }),
    )
    expect(readdirSync(join(root, 'native/build/key'))).toEqual([])
  })

  it('says how to install a compiler when there is none', () => {
    mkdirSync(join(root, 'native/build'), { recursive: true })
    expect(() => compileAddon({ ...shell(''), command: [join(root, 'no-such-compiler')] })).toThrow(
      expect.objectContaining({
        code: 'ENGINE_BUILD',
        message: expect.stringMatching(
          /needs a C\+\+ compiler, and ".*no-such-compiler" could not be started[\s\S]*apt-get/,
        ),
      }),
    )
  })
})
