import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** Of every project, and of the soak tests. */
export const everywhere = {
  pool: 'forks' as const,
  // No test is about time: these end what hangs, also on a machine that is ten times slower because others use it.
  testTimeout: 300_000,
  hookTimeout: 300_000,
  expect: { poll: { timeout: 240_000 } },
  setupFiles: ['test/setup.ts'],
  // Waiting threads sleep instead of spinning: test machines are shared, and the models are tiny.
  env: { GOMP_SPINCOUNT: '0' },
}
const commands = ['test/cli/**/*.test.ts', 'test/playground/**/*.test.ts']
/** Long, on one core, and without LibTorch: compilers, parsers, drawing. */
const oneCore = ['test/fuzz', 'test/native', 'test/picture', 'test/sample-data'].map(
  (dir) => `${dir}/**/*.test.ts`,
)

/** Arithmetic, runs, servers, and files of arrays, images and graphs: tests that leave nothing behind (test/after-file.ts). */
const shared = [
  ...[
    'bench',
    'checkpoint',
    'config',
    'evaluate',
    'export',
    'files',
    'import',
    'inspect',
    'model',
    'objective',
  ],
  ...['onnx', 'optim', 'plan', 'prepare', 'random', 'run', 'search', 'serve', 'source', 'target', 'token'],
  ...['train', 'verify', 'weights'],
]
/** In these folders, what replaces modules, starts programs, or measures its process. */
const alone = [
  ...['checkpoint/faults', 'export/transformers-js-browser', 'files/full-disk', 'prepare/decode/deadline'],
  ...['prepare/decode/resample-pixels', 'prepare/pack/pack', 'prepare/published', 'serve/deadline'],
  ...['search/index-faults', 'train/memory'],
].map((name) => `test/${name}.test.ts`)

/** Each takes longer than its file's size says. */
const long = [
  ...[
    'goldens/goldens',
    'tasks/tasks',
    'evaluate/finetune',
    'export/families',
    'checkpoint/faults',
    'tensor/bad-inputs',
  ],
  ...[
    'cli/transcripts/transcripts',
    'cli/interrupted',
    'cli/evaluate/stopped',
    'cli/train/reliability',
    'playground/chromium',
  ],
  ...['cli/evaluate/heads', 'cli/evaluate/evaluate', 'fuzz/fuzz', 'native/portable-kernels'],
].map((name) => `/test/${name}.test.ts`)

/** Begins with the long ones, so that none is left for one core at the end; then, as usual, with the largest. */
class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files)
    const isLong = ({ moduleId }: TestSpecification) => long.some((name) => moduleId.endsWith(name))
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))]
  }
}

export default defineConfig({
  test: {
    sequence: { sequencer: LongFirst },
    projects: [
      // Two workers: half of the time one of them reads, compiles or waits, and LibTorch's waiting threads sleep.
      {
        test: {
          ...{
            ...everywhere,
            name: 'library',
            include: ['test/*.test.ts', `test/!(${shared.join('|')})/**/*.test.ts`, ...alone],
            exclude: [...commands, ...oneCore],
          },
          ...{ maxWorkers: 2, sequence: { groupOrder: 0 } },
        },
      },
      // Few processes for all of them: each would spend half a second on loading LibTorch and the library again.
      {
        test: {
          ...{ ...everywhere, name: 'arithmetic', isolate: false },
          ...{ include: shared.map((dir) => `test/${dir}/**/*.test.ts`), exclude: alone },
          ...{ maxWorkers: 2, sequence: { groupOrder: 0 } },
        },
      },
      // Programs that are started and waited for, most of them with one busy thread; beside what needs one core.
      {
        test: {
          ...{ ...everywhere, name: 'commands', include: commands },
          ...{ maxWorkers: 2, sequence: { groupOrder: 1 } },
        },
      },
      {
        test: {
          ...{ ...everywhere, name: 'one-core', include: oneCore },
          ...{ maxWorkers: 2, sequence: { groupOrder: 1 } },
        },
      },
    ],
  },
})
