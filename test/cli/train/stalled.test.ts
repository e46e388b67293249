// Files whose reading never ends, as on a network mount whose server is gone: a library laid before libc lets `open` wait for ever.
import { execFileSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { compiler } from '../../../src/native/compile.ts'
import { writeScenes } from '../../prepare/decode/make-images.ts'
import { metricsOf, sherd, start, tiny, until, workFolder } from '../sherd.ts'

const source = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static void wait_for_ever(const char* path) {
  const char* when = getenv("STALL_WHEN");
  if (strstr(path, "stalled") || (when && strstr(path, ".jpg") && access(when, F_OK) == 0))
    for (;;) {
      const char* told = getenv("STALL_TOLD");
      if (told) close(creat(told, 0644));
      sleep(1000);
    }
}
#define OPEN(name)                                                    \\
  int name(const char* path, int flags, ...) {                        \\
    va_list more;                                                     \\
    va_start(more, flags);                                            \\
    const int mode = va_arg(more, int);                               \\
    va_end(more);                                                     \\
    wait_for_ever(path);                                              \\
    return ((int (*)(const char*, int, int))dlsym(RTLD_NEXT, #name))(path, flags, mode); \\
  }
OPEN(open)
OPEN(open64)
`

// Where programs can be made to load it.
describe.runIf(process.platform === 'linux')('a file whose reading does not end', () => {
  let [cwd, library] = ['', '']
  beforeAll(async () => {
    cwd = await workFolder()
    library = join(cwd, 'stall.so')
    writeFileSync(join(cwd, 'stall.c'), source)
    const flags = ['-x', 'c', '-shared', '-fPIC', '-o', library, join(cwd, 'stall.c'), '-ldl']
    execFileSync(compiler(), flags)
    mkdirSync(join(cwd, 'images'))
    await writeScenes(join(cwd, 'images'), { count: 24, size: 20 })
    mkdirSync(join(cwd, 'some'))
    for (const name of readdirSync(join(cwd, 'images')))
      copyFileSync(join(cwd, 'images', name), join(cwd, 'some', name))
    copyFileSync(join(cwd, 'images/000.jpg'), join(cwd, 'some/005-stalled.jpg'))
  })
  const args = (data: string, out: string, steps: number, ...more: string[]) => [
    ...['pretrain', 'mae-tiny-cifar10', '--data', data, '--out', out, '--steps', String(steps)],
    ...[...tiny({ 'log.pictureEverySteps': 2 }), ...more],
  ]

  it('is skipped once, and the command ends all the same', async () => {
    const out = 'one'
    const env = { LD_PRELOAD: library }
    const { status, stderr } = await sherd(args('some', out, 12, '--file-timeout', '5'), { cwd, env })
    expect(stderr).toContain(
      'skipped 005-stalled.jpg: reading it took more than 5 s (data.fileTimeout, --file-timeout)',
    )
    expect(stderr).toMatch(/^completed 12 steps .*; 1 file skipped/m)
    expect(status).toBe(0)
    expect(existsSync(join(cwd, out, 'loss-curve.png'))).toBe(true)
  })

  it('does not keep a signal from being heard: the run is saved', async () => {
    const [trigger, told] = [join(cwd, 'now'), join(cwd, 'told')]
    const running = start(args('images', 'stopped', 1_000_000), {
      cwd,
      env: { LD_PRELOAD: library, STALL_WHEN: trigger, STALL_TOLD: told },
    })
    const steps = () => metricsOf(join(cwd, 'stopped')).length
    await until(() => steps() >= 3, 'three steps')
    writeFileSync(trigger, '')
    await until(() => existsSync(told), 'a file that does not open')
    running.kill('SIGTERM')
    const { status, stdout, stderr } = await running.ended
    expect(status).toBe(143)
    const done = steps()
    expect(stderr).toMatch(new RegExp(`^interrupted at step ${done} of `, 'm'))
    expect(stdout).toMatch(/^continue with:\n {2}(?:npx )?sherd pretrain --out .* --resume$/m)
    const state = join(cwd, 'stopped/checkpoints', `step-${String(done).padStart(8, '0')}`, 'state.json')
    expect(JSON.parse(readFileSync(state, 'utf8'))).toMatchObject({ step: done })
  })
})
