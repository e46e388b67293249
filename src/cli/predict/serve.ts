/** `sherd serve`: exported models over HTTP. */
import { readFileSync } from 'node:fs'
import { type Command, Option } from 'commander'
import { messageOf, SherdError } from '../../errors.ts'
import type { ExportPrecision } from '../../export/precision.ts'
import { describeCommand, modelOption } from '../help.ts'
import { imageSizeOption, notNegative, pixels, portNumber, positiveNumber, wholeNumber } from '../options.ts'
import { note, print, printJson, table, warn } from '../output.ts'
import { asTyped } from '../own-name.ts'
import { endAtOnce, stopSignal } from '../signals.ts'

interface Flags {
  readonly model: string
  readonly index?: string
  readonly precision?: ExportPrecision
  readonly host: string
  readonly port: number
  readonly token?: string
  readonly tokenFile?: string
  readonly cors?: string
  readonly threads?: number
  readonly imageSize?: [height: number, width: number]
  readonly batch?: number
  readonly wait: number
  readonly maxBody: number
  readonly maxPixels: number
  readonly maxImages: number
  readonly queue: number
  readonly timeout: number
  readonly log?: boolean
  readonly json?: boolean
}

export function addServe(root: Command): void {
  describeCommand(root.command('serve'), {
    group: 'Use a model',
    page: 'serve.md',
    examples: [
      'sherd serve --model export  # a folder of "sherd export onnx", and the playground',
      'sherd serve --model export --index photos.index --port 9000  # with neighbours from an index',
    ],
  })
    .description(
      'answer over HTTP: embeddings, classes, neighbours, masks, reconstructions; and the playground',
    )
    .addOption(modelOption({ what: 'a folder of "sherd export onnx", or one of its files' }))
    .addOption(
      new Option('--precision <which>', 'which files of the folder (default: the most precise)').choices([
        'fp32',
        'fp16',
        'int8',
      ]),
    )
    .addOption(imageSizeOption())
    .option('--index <dir>', 'an index that its encoder has made, for neighbours')
    .option('--host <address>', 'where to listen; other machines need a token', '127.0.0.1')
    .option('--port <n>', '0: any that is free', portNumber, 8080)
    .addOption(
      new Option(
        '--token <secret>',
        'what requests must bring; as an argument every user of the machine sees it',
      ).env('SHERD_TOKEN'),
    )
    .addOption(new Option('--token-file <file>', 'a file that holds the token').conflicts('token'))
    .option('--cors <origin>', 'pages of this origin may ask, too; * for all')
    .option('--threads <n>', 'of one operator (default: every core)', wholeNumber(1))
    .option('--batch <n>', 'images computed together, at most', wholeNumber(1))
    .option('--wait <ms>', 'how long an image waits for others that are on their way', notNegative, 5)
    .option('--max-body <MB>', 'of a request', positiveNumber, 16)
    .addOption(
      new Option('--max-pixels <n>', 'refuse images of more pixels').argParser(pixels).default(50e6, '50M'),
    )
    .option('--max-images <n>', 'of a request; at most as many as may wait', wholeNumber(1), 32)
    .option('--queue <n>', 'images that may wait; more are refused with 503', wholeNumber(1), 256)
    .option('--timeout <s>', 'within which a request is answered, or refused with 503', positiveNumber, 30)
    .option('--log', 'a line of JSON for each request, on standard error')
    .option('--json', 'print the address as JSON')
    .action(runServe)
}

/** The token in a file, without the final line end. */
function readToken(path: string): string {
  try {
    return readFileSync(path, 'utf8').replace(/\r?\n$/, '')
  } catch (error) {
    throw new SherdError('USAGE', `--token-file ${path} cannot be read: ${messageOf(error)}`, {
      cause: error,
    })
  }
}

async function runServe(flags: Flags): Promise<void> {
  const [{ serve }, { placeRows }] = await Promise.all([
    import('../../serve/serve.ts'),
    import('../../serve/start-page.ts'),
  ])
  const token = flags.tokenFile === undefined ? flags.token : readToken(flags.tokenFile)
  const { host, port, cors, threads, wait, log = false, precision } = flags
  const server = await serve({
    ...{ model: flags.model, host, port, token: token ?? null, cors: cors ?? null, mostWait: wait, log },
    ...(flags.index !== undefined && { index: flags.index }),
    ...(precision && { precisions: [precision] }),
    ...(threads && { threads }),
    ...(flags.imageSize && { imageSize: flags.imageSize }),
    ...(flags.batch && { mostTogether: flags.batch }),
    limits: {
      ...{ bodyBytes: Math.ceil(flags.maxBody * 2 ** 20), pixels: flags.maxPixels },
      ...{ images: flags.maxImages, queue: flags.queue, answerMs: Math.ceil(flags.timeout * 1000) },
    },
    onError: (error) => warn(error instanceof Error ? (error.stack ?? error.message) : String(error)),
  })
  const stop = stopSignal('answering what is being worked on')
  const { url, graphs, places } = server
  if (flags.json) printJson({ kind: 'server', url, port: server.port, graphs, places })
  else {
    print(`sherd serves ${graphs.join(', ')} at ${url}`)
    print(table(placeRows(url, places).map(([address, summary]) => [`  ${address}`, asTyped(summary)])))
  }
  const failure = await Promise.race([
    server.failed,
    new Promise<null>((resolve) => stop.addEventListener('abort', () => resolve(null), { once: true })),
  ])
  const isOver = await server.stop()
  if (isOver && failure) throw failure
  if (failure) warn(failure.message)
  note(isOver ? 'stopped' : 'stopped, without waiting for what still computes and cannot be interrupted')
  if (!isOver) endAtOnce()
}
