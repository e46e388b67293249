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

  it('compiles objects first, side by side, and keeps none of them', () => {
    const object = (name: string, script: string) => ({
      path: join(root, `native/build/key/${name}.o`),
      command: ['/bin/sh', '-c', script],
    })
    // Each waits until the other has begun: one after the other they would never end.
    const meets = (mine: string, other: string) =>
      `touch ${root}/${mine}; until test -e ${root}/${other}; do sleep 0.01; done; printf ${mine} > "$1"`
    const build = {
      ...shell(`cat ${root}/native/build/key/a.o ${root}/native/build/key/b.o > "$1"`),
      objects: [object('a', meets('a', 'b')), object('b', meets('b', 'a'))],
    }
    compileAddon(build)
    expect(readFileSync(build.path, 'utf8')).toBe('ab')
    expect(readdirSync(join(root, 'native/build/key'))).toEqual(['sherd.node'])
    const failing = {
      ...build,
      objects: [object('a', 'exit 0'), object('b', 'echo "b.cu: error: no" >&2; exit 3')],
    }
    expect(() => compileAddon(failing)).toThrow(/status 3\):\nb.cu: error: no\nThe command was:\n/)
    const absent = { ...object('a', ''), command: [join(root, 'no-such-nvcc')] }
    expect(() => compileAddon({ ...build, objects: [absent, object('b', 'exit 0')] })).toThrow(
      /".*no-such-nvcc" could not be started/,
    )
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
