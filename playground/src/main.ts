/**
 * The playground: what the visitor does becomes a new view, and the view is drawn. Long, because the view changes here and nowhere
 * else.
 */
import type { SceneName } from '../../src/sample-data/scenes.ts'
import { listenToChoosing } from './choosing.ts'
import {
  askForModel,
  listenToControls,
  showAbilities,
  showAttentionChoices,
  showModel,
  showSettings,
} from './controls.ts'
import { startEngine } from './engine.ts'
import type { LoadProgress } from './fetch-model.ts'
import { listenToFiles } from './intake.ts'
import { latest } from './latest.ts'
import { likeOf, startLooking } from './looking.ts'
import { hiddenFlags, isPainted, maskFor } from './mask-designs.ts'
import type { ModelFacts } from './model-facts.ts'
import { ownSources } from './model-sources.ts'
import { fillSelect, page } from './page.ts'
import { listenToPainting } from './painting.ts'
import { download, pictureFile } from './picture-file.ts'
import { drawPlates, likeText } from './plates.ts'
import type { Opened, Requests } from './protocol.ts'
import { rebuild } from './rebuild.ts'
import { firstSample, markSample, sampleFile, scenes, showSamples } from './samples.ts'
import { defaults, formatSettings, parseSettings, type Settings } from './settings.ts'
import { begin, follow, redo, undo } from './undo.ts'
import type { Picture, View } from './view.ts'
import { complain, say, sayLater } from './voice.ts'
import { aboutSize, decibels, fixed, megabytes } from './words.ts'

const engine = startEngine()
let view: View = {
  ...{ opened: null, facts: null, picture: null, settings: defaults, mask: null, hidden: null },
  ...{ made: null, rebuilt: null, encoded: null, other: null, colours: null, chosen: null, like: null },
}
let history = begin(defaults)
type Source =
  | { readonly kind: 'sample'; readonly scene: SceneName; readonly index: number }
  | { readonly kind: 'file'; readonly file: File }
let source: Source = { kind: 'sample', scene: firstSample, index: 0 }
/** Of a sample, another one of its class. */
let otherSource: Source = { kind: 'sample', scene: firstSample, index: 1 }

// What is shown

let frame = 0

/** Once before the next frame, however much has happened until then. */
function draw(): void {
  if (frame !== 0) return
  frame = requestAnimationFrame(() => {
    frame = 0
    drawPlates(view, painting.cursor(), page.compare.valueAsNumber / 100)
  })
}

function show(change: Partial<View>): void {
  view = { ...view, ...change }
  showSettings(view)
  page.undo.disabled = history.past.length === 0
  page.redo.disabled = history.future.length === 0
  page.save.disabled = view.rebuilt === null
  draw()
}

// Settings and masks

const maskOf = ({ facts }: View, { design, percent, seed, marks }: Settings) => {
  if (!facts) return { mask: null, hidden: null }
  const mask = maskFor(facts.grid, { design, ratio: percent / 100, seed, marks })
  return { mask, hidden: hiddenFlags(mask) }
}

const isValid = ({ mask }: View) => mask !== null && mask.kept.length > 0 && mask.hidden.length > 0

/** Shows the settings at once; the model follows. */
function apply(settings: Settings): void {
  const next: View = { ...view, settings, ...maskOf(view, settings) }
  const isSame = next.mask !== null && view.mask !== null && String(next.mask.kept) === String(view.mask.kept)
  show({ ...next, ...(isSame || isValid(next) ? {} : { made: null, rebuilt: null }) })
  if (!isSame) compute()
  else if (view.made) finish(view.made)
}

/** What undo cares about. */
const maskPart = (settings: Settings) => formatSettings({ ...settings, statistics: defaults.statistics })

/** `done`: a step that can be undone, and that the address gets. */
function change(settings: Settings, done: boolean): void {
  if (done) {
    if (maskPart(settings) !== maskPart(history.now)) history = follow(history, settings)
    globalThis.history.replaceState(null, '', `#${formatSettings(settings)}`)
  }
  apply(settings)
}

/** Where a painted design comes into play, what is hidden becomes what is painted. */
function changeControls(part: Partial<Settings>, done: boolean): void {
  const { settings, hidden } = view
  const next = { ...settings, ...part }
  const turned = part.design && isPainted(part.design) && part.design !== settings.design
  if (turned && hidden) next.marks = marksOf(hidden, part.design === 'painted')
  change(next, done)
}

const marksOf = (hidden: Uint8Array, isHiddenPainted: boolean): number[] =>
  [...hidden.keys()].filter((patch) => (hidden[patch] === 1) === isHiddenPainted)

/** What is hidden, as the settings of a painted design. */
function paintHidden(hidden: Uint8Array, done: boolean): void {
  const design = view.settings.design === 'unpainted' ? 'unpainted' : 'painted'
  change({ ...view.settings, design, marks: marksOf(hidden, design === 'painted') }, done)
}

function travel(step: typeof undo | typeof redo): void {
  history = step(history)
  const settings = { ...history.now, statistics: view.settings.statistics }
  globalThis.history.replaceState(null, '', `#${formatSettings(settings)}`)
  apply(settings)
}

// Models at work

type Job = Requests['rebuild']['ask']

const run = latest<Job>(async (job) => {
  try {
    const { prediction, milliseconds } = await engine.ask('rebuild', job)
    const hidden = new Uint8Array(job.kept.length + job.hidden.length)
    for (const patch of job.hidden) hidden[patch] = 1
    const isStale = view.picture?.bytes !== job.bytes || !isValid(view)
    if (!isStale) finish({ bytes: job.bytes, prediction, hidden, milliseconds })
  } catch (error) {
    complain(error)
  }
})

function compute(): void {
  const { picture, mask, opened } = view
  if (!picture || !mask || !opened?.models.autoencoder || !isValid(view)) return
  run({ bytes: picture.bytes, kept: mask.kept, hidden: mask.hidden })
}

/** From a prediction to pictures and numbers. */
function finish(made: NonNullable<View['made']>): void {
  const facts = view.opened?.models.autoencoder?.facts
  if (!facts) return
  const rebuilt = rebuild(made.bytes, made, facts, view.settings.statistics)
  show({ made, rebuilt })
  const kept = made.hidden.filter((flag) => flag === 0).length
  sayLater(
    `Rebuilt from ${kept} of ${made.hidden.length} patches. PSNR ${decibels(rebuilt.psnr)}, SSIM ${fixed(rebuilt.ssim, 3)}.`,
  )
}

const looking = startLooking({
  ...{ engine, complain, view: () => view },
  seen(encoded) {
    view = { ...view, encoded }
    showAttentionChoices(view)
    show({ like: likeOf(view) })
  },
  compared(other) {
    view = { ...view, other }
    show({ like: likeOf(view) })
  },
  coloured: (colours) => show({ colours }),
})

/** A patch that is chosen stays; one that is only pointed at goes with the pointer. */
function choosePatch(chosen: number, byKeys: boolean): void {
  view = { ...view, chosen }
  show({ like: likeOf(view) })
  if (byKeys) say(likeText(view))
  else sayLater(likeText(view))
}

// Pictures

/** Brings a picture to the model's size. */
async function pictureOf(from: Source, { size, channels, preparing }: ModelFacts): Promise<Picture> {
  let image: Blob
  let name: string
  if (from.kind === 'file') [image, name] = [from.file, from.file.name]
  else {
    const side = Math.max(size.width, size.height)
    image = await sampleFile(engine, from, side)
    name = `sample “${from.scene}”`
  }
  const { bytes, original } = await engine.ask('prepare', { image, name, target: size, channels, preparing })
  return { name, bytes, about: aboutSize(original, size) }
}

async function prepare(): Promise<void> {
  const { facts, opened } = view
  if (!facts || !opened) return
  const chosen = source
  try {
    const picture = await pictureOf(chosen, facts)
    if (chosen !== source) return
    markSample(chosen.kind === 'sample' ? chosen.scene : null)
    page.pictureName.textContent = `Picture: ${picture.name}`
    show({ picture, made: null, rebuilt: null, encoded: null, colours: null, like: null })
    compute()
    if (opened.models.encoder) looking.see(picture, 'picture')
  } catch (error) {
    complain(error)
  }
}

async function prepareOther(): Promise<void> {
  const { facts, opened } = view
  if (!facts || !opened?.models.encoder) return
  const chosen = otherSource
  page.otherSample.value = chosen.kind === 'sample' ? chosen.scene : ''
  try {
    const picture = await pictureOf(chosen, facts)
    if (chosen === otherSource && opened === view.opened) looking.see(picture, 'other')
  } catch (error) {
    complain(error)
  }
}

function takeOther(next: Source): void {
  otherSource = next
  page.alert.hidden = true
  void prepareOther()
}

function take(next: Source): void {
  source = next
  page.alert.hidden = true
  if (view.facts) void prepare()
  else if (next.kind === 'file')
    complain(new Error('A model is needed first: choose its files under “Model”.'))
}

// Models

function showProgress({ name, loaded, total }: LoadProgress): void {
  page.loadingText.textContent = `Loading ${name}: ${megabytes(loaded)}${total === null ? '' : ` of ${megabytes(total)}`}`
  if (total === null) page.progress.removeAttribute('value')
  else page.progress.value = total > 0 ? loaded / total : 1
}

async function openModels(ask: Requests['open']['ask']): Promise<void> {
  page.loading.hidden = false
  page.loadingText.textContent = 'Loading the model'
  page.progress.removeAttribute('value')
  try {
    useModels(await engine.ask('open', ask, showProgress))
  } catch (error) {
    complain(error)
    if (!view.opened) askForModel()
  } finally {
    page.loading.hidden = true
  }
}

function useModels(opened: Opened): void {
  const facts = (opened.models.autoencoder ?? opened.models.encoder)?.facts ?? null
  if (opened.refused.length > 0) complain(new Error(opened.refused.join('\n')))
  if (!facts) {
    askForModel()
    return
  }
  view = {
    ...{ ...view, opened, facts, picture: null, made: null, rebuilt: null },
    ...{ encoded: null, other: null, colours: null, chosen: null, like: null },
  }
  // Patches that this grid does not have cannot be painted.
  const tokens = facts.grid.h * facts.grid.w
  const settings = { ...view.settings, marks: view.settings.marks.filter((patch) => patch < tokens) }
  showModel(view)
  showAbilities(view)
  showAttentionChoices(view)
  say(`Model ${facts.name} is open.`)
  apply(settings)
  void prepare()
  void prepareOther()
}

// What the visitor can do

const painting = listenToPainting({
  canvas: page.masked,
  grid: () => (view.picture ? (view.facts?.grid ?? null) : null),
  share: () => {
    const { width, height } = page.masked
    const { size } = view.facts ?? { size: { width: 1, height: 1 } }
    return (width * size.height) / size.width / height
  },
  isHidden: (patch) => view.hidden?.[patch] === 1,
  paint(patches, hide, done) {
    if (!view.hidden) return
    const hidden = view.hidden.slice()
    for (const patch of patches) hidden[patch] = hide ? 1 : 0
    paintHidden(hidden, done)
  },
  moved: () => draw(),
  say,
  undo: () => travel(undo),
  redo: () => travel(redo),
})

listenToControls({ change: changeControls })
listenToFiles({
  image: (file) => take({ kind: 'file', file }),
  models: (files) => void openModels({ files }),
})
showSamples(engine, (scene) => take({ kind: 'sample', scene, index: 0 }))
listenToChoosing({
  canvas: page.like,
  grid: () => (view.like ? (view.facts?.grid ?? null) : null),
  chosen: () => view.chosen ?? view.like!.patch,
  choose: choosePatch,
  point: (patch) => {
    if (view.like && (patch ?? view.chosen) !== view.like.patch) show({ like: likeOf(view, patch) })
  },
})
fillSelect(
  page.otherSample,
  [{ value: '', label: 'own' }, ...scenes.map((scene) => ({ value: scene, label: scene }))],
  firstSample,
)
page.otherSample.addEventListener('change', () => {
  const scene = page.otherSample.value as SceneName | ''
  if (scene !== '') takeOther({ kind: 'sample', scene, index: 1 })
})
page.otherFile.addEventListener('change', () => {
  const [file] = page.otherFile.files ?? []
  page.otherFile.value = '' // the same file may be chosen again
  if (file) takeOther({ kind: 'file', file })
})

const repaint = (value: (flag: number) => number) => () => {
  if (view.hidden) paintHidden(view.hidden.map(value), true)
}
page.invert.addEventListener(
  'click',
  repaint((flag) => 1 - flag),
)
page.showAll.addEventListener(
  'click',
  repaint(() => 0),
)
page.hideAll.addEventListener(
  'click',
  repaint(() => 1),
)
page.undo.addEventListener('click', () => travel(undo))
page.redo.addEventListener('click', () => travel(redo))
page.nextSeed.addEventListener('click', () => changeControls({ seed: view.settings.seed + 1 }, true))
page.errorScroll.tabIndex = 0 // to be scrolled by keys
page.errorKind.addEventListener('change', draw)
page.errorNumbers.addEventListener('toggle', draw)
page.block.addEventListener('change', draw)
page.head.addEventListener('change', draw)
page.compare.addEventListener('input', () => {
  page.compare.setAttribute('aria-valuetext', `the left ${page.compare.value} % are the original`)
  draw()
})
page.save.addEventListener('click', async () => {
  const blob = await pictureFile(view)
  if (blob) download(blob, 'sherd-reconstruction.png')
})
page.link.addEventListener('click', async () => {
  try {
    await navigator.clipboard.writeText(location.href)
    say('The link is copied. It holds the settings, not the picture.')
    page.link.textContent = 'Copied'
  } catch {
    page.link.textContent = 'Copy the address'
  }
  setTimeout(() => {
    page.link.textContent = 'Copy link'
  }, 2000)
})
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw)

function readAddress(): void {
  const { settings, refused } = parseSettings(location.hash)
  if (refused.length > 0)
    complain(new Error(`A part of the address was not understood. ${refused.join('; ')}.`))
  const next = { ...defaults, ...settings }
  history = begin(next)
  apply(next)
}
addEventListener('hashchange', readAddress)

readAddress()
showAbilities(view)
showAttentionChoices(view)
ownSources(location.href)
  .then((sources) => openModels({ sources }))
  .catch(complain) // an address that is none
