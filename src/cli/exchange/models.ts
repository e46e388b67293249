/** `sherd models`: well-known published encoders, which of them fit words, and one in full. */
import type { Command } from 'commander'
import { didYouMean, SherdError } from '../../errors.ts'
import type { PublishedEncoder } from '../../published/encoders.ts'
import type { Figures } from '../../published/figures.ts'
import { shortSize } from '../../token/grid.ts'
import { describeCommand } from '../help.ts'
import { print, printCommand, printJson, table } from '../output.ts'
import { asTyped } from '../own-name.ts'
import { columnsOf } from '../terminal.ts'

interface Flags {
  readonly json?: boolean
}

export function addModels(root: Command): void {
  const group = describeCommand(root.command('models'), {
    group: 'Exchange models',
    page: 'published.md',
    examples: [
      'sherd models  # every encoder that is known by name',
      'sherd models dinov2 small  # those that all of these words fit',
      'sherd models show dinov2-small  # all that is known of one, and how to use it',
    ],
  }).description('well-known encoders that others have published')
  describeCommand(group.command('list', { isDefault: true }), {
    page: 'published.md',
    examples: [
      'sherd models list satellite  # by what they were trained on',
      'sherd models list any use --json  # those that may be sold, as JSON',
    ],
  })
    .description('encoders with their sizes, images and licences')
    .argument('[words...]', 'only those that all of these words fit: a name, family, owner, images, licence')
    .option('--json', 'print as JSON')
    .action(listModels)
  describeCommand(group.command('show'), {
    page: 'published.md',
    examples: [
      'sherd models show clip-base-16  # one of the names that "sherd models" prints',
      'sherd models show siglip-base --json  # as JSON',
    ],
  })
    .description('all that is known of one encoder')
    .argument('<name>', 'a name that "sherd models" prints, or owner/name of the hub')
    .option('--json', 'print as JSON')
    .action(showModel)
}

const load = async () => ({
  ...(await import('../../published/encoders.ts')),
  ...(await import('../../published/figures.ts')),
  ...(await import('../../hub/licences.ts')),
})
type Known = Awaited<ReturnType<typeof load>>

const linesOf = (encoder: PublishedEncoder, { licences, useTexts }: Known) => ({
  licence: licences[encoder.licence.licence].name,
  use: useTexts[licences[encoder.licence.licence].use],
})

/** What words are looked for in. */
const wordsOf = (encoder: PublishedEncoder, known: Known): string =>
  [
    ...[encoder.name, encoder.hub, encoder.timm ?? '', encoder.family, encoder.images, encoder.paper],
    ...Object.values(linesOf(encoder, known)),
    encoder.isGated ? 'gated' : '',
  ]
    .join(' ')
    .toLowerCase()

const pixelsOf = ({ imageSize }: Figures) => shortSize(imageSize)
const text = (size: number | readonly number[]) => [size].flat().join(' × ')
const millions = (n: number): string => (n / 1e6).toFixed(n < 1e9 ? 1 : 0)

function jsonOf(encoder: PublishedEncoder, known: Known) {
  const { parameters, patch, imageSize, width, flops } = known.figuresOf(encoder)
  const { name, family, hub, timm, images, paper, isGated, statistics, model } = encoder
  const { licence, page = licence } = encoder.licence
  return {
    ...{ name, family, hub, timm, parameters, flops, width, images, paper },
    patchSize: shortSize(patch),
    imageSize: [...imageSize],
    feature: model.feature!,
    licence,
    pageLicence: page,
    use: known.licences[licence].use,
    isGated: isGated ?? false,
    ...known.numbersOf(statistics),
  }
}

async function listModels(words: readonly string[], { json }: Flags): Promise<void> {
  const known = await load()
  const wanted = words.flatMap((each) => each.toLowerCase().split(/\s+/))
  const found = known.publishedEncoders.filter((each) => {
    const own = wordsOf(each, known)
    return wanted.every((word) => own.includes(word))
  })
  if (found.length === 0)
    throw new SherdError(
      'USAGE',
      `No encoder fits "${words.join(' ')}".${didYouMean(
        words[0]!,
        known.publishedEncoders.flatMap(({ name, family }) => [name, family.toLowerCase()]),
      )} "sherd models" lists all; others of the hub are read, too, where their layout is known.`,
    )
  if (json) return printJson({ kind: 'models', models: found.map((each) => jsonOf(each, known)) })
  const rows = found.map((each) => {
    const figures = known.figuresOf(each)
    return [
      ...[each.name, millions(figures.parameters), text(shortSize(figures.patch)), text(pixelsOf(figures))],
      ...[String(figures.width), linesOf(each, known).use, each.images],
    ]
  })
  const header = ['name', 'million', 'patch', 'pixels', 'vector', 'licence allows', 'trained on']
  const columns = columnsOf('out')
  const shown = columns !== null && columns < 120 ? 6 : header.length
  print(
    table(
      [header, ...rows].map((row) => row.slice(0, shown)),
      [1, 2, 3, 4],
      { header: true },
    ),
  )
  print(asTyped(`\n"sherd models show ${found[0]!.name}" says more, and how to use it.`))
}

async function showModel(name: string, { json }: Flags): Promise<void> {
  const known = await load()
  const found = known.publishedNamed(name)
  if (!found) {
    const names = known.publishedEncoders.flatMap(({ name: own, hub }) => [own, hub])
    throw new SherdError('USAGE', `No encoder is known as "${name}".${didYouMean(name, names)}`)
  }
  const of = jsonOf(found, known)
  if (json) return printJson({ kind: 'model', ...of })
  const { licence, use } = linesOf(found, known)
  const page = of.pageLicence === of.licence ? '' : `; its page says ${known.licences[of.pageLicence].name}`
  print(
    table([
      ['name', `${of.name} (${of.family}, ${of.paper})`],
      ['hub', `hf:${of.hub}${of.isGated ? ', gated: agree on its page, and set HF_TOKEN' : ''}`],
      ['in timm', of.timm ?? 'not there'],
      ['trained on', of.images],
      ['licence', `${licence} (${use})${page}`],
      ['parameters', `${millions(of.parameters)} million`],
      [
        'cost',
        `${(of.flops / 1e9).toFixed(1)} GFLOP for an image of ${text(pixelsOf(known.figuresOf(found)))} pixels`,
      ],
      ['patch', `${text(of.patchSize)} pixels`],
      ['feature', `${of.feature}, ${of.width} numbers, as its authors take it`],
      ['mean, std', `${of.mean.join(', ')}; ${of.std.join(', ')}`],
    ]),
  )
  printCommand(asTyped(`\n  sherd index photos --model hf:${of.hub} --out photos.index`))
}
