/** The settings as controls, both ways. */
import { type DesignName, designNames, designs, isPainted } from './mask-designs.ts'
import { fillFacts, fillSelect, page } from './page.ts'
import type { Settings, Statistics } from './settings.ts'
import type { View } from './view.ts'
import { megabytes, share, sizeWords } from './words.ts'

export interface ControlOptions {
  /** `done` false: it is still moving. */
  readonly change: (settings: Partial<Settings>, done: boolean) => void
}

const radios = () => [...page.statistics.querySelectorAll('input')]

export function listenToControls({ change }: ControlOptions): void {
  fillSelect(
    page.design,
    designNames.map((value) => ({ value, label: designs[value].label })),
  )
  page.design.addEventListener('change', () => change({ design: page.design.value as DesignName }, true))
  page.ratio.addEventListener('input', () => change({ percent: page.ratio.valueAsNumber }, false))
  page.ratio.addEventListener('change', () => change({ percent: page.ratio.valueAsNumber }, true))
  page.seed.addEventListener('change', () => {
    const seed = page.seed.valueAsNumber
    change(Number.isSafeInteger(seed) && seed >= 0 ? { seed } : {}, true) // else the old one comes back
  })
  for (const radio of radios())
    radio.addEventListener('change', () => change({ statistics: radio.value as Statistics }, true))
}

const hints: Readonly<Partial<Record<DesignName, string>>> = {
  random: 'The mask that sherd reconstruct draws for its first image.',
  painted: 'What you paint is hidden.',
  unpainted: 'The model sees only what you paint.',
}

/** Shows the settings, and what they mean for the model that is open. */
export function showSettings({ settings, facts, mask }: View): void {
  const { design, percent, seed, statistics } = settings
  const painted = isPainted(design)
  page.design.value = design
  if (document.activeElement !== page.ratio || page.ratio.valueAsNumber !== percent)
    page.ratio.valueAsNumber = percent
  page.ratio.disabled = painted
  const tokens = mask ? mask.hidden.length + mask.kept.length : 0
  page.ratioValue.textContent = painted && mask ? share(mask.hidden.length / tokens) : `${percent} %`
  const trained =
    facts && !painted && facts.ratio !== null
      ? ` The model was trained with ${share(facts.ratio)} hidden.`
      : ''
  page.ratioHint.textContent = `${hints[design] ?? ''}${trained}`.trim()
  page.seed.valueAsNumber = seed
  page.seedField.hidden = !designs[design].seeded
  const raw = facts !== null && !facts.normalizeTarget
  page.statistics.disabled = raw
  for (const radio of radios()) radio.checked = !raw && radio.value === statistics
  page.statisticsHint.textContent = raw ? 'None needed: this model predicts pixels as they are.' : ''
}

/** What is to be done first comes first: choosing a model, where there is none. */
export function askForModel(): void {
  page.desk.before(page.model)
  page.model.open = true
}

/** Shows what is open, after all else. */
export function showModel({ opened, facts }: View): void {
  if (!opened || !facts) return
  page.plates.after(page.model)
  page.model.open = false
  const files = Object.values(opened.models)
  const { size, channels, step, precision } = facts
  page.modelName.textContent = `${facts.name}, ${sizeWords(size)}`
  fillFacts(page.modelFacts, [
    ['Files', files.map(({ file, bytes }) => `${file} (${megabytes(bytes)})`).join(', ')],
    ['Pixels', `${sizeWords(size)}, ${channels === 3 ? 'RGB' : 'grey'}`],
    ['Patches', `${facts.grid.h} × ${facts.grid.w} of ${facts.patchSize.join(' × ')}`],
    ['Step', step === null ? 'unknown' : step.toLocaleString('en')],
    ['Precision', precision],
    ['Learned', facts.learned],
    ['Threads', String(opened.threads)],
  ])
}

/** The values of choices that are no number: attention pooling in place of a block, and all heads side by side. */
export const POOLING = 'pooling'
export const ALL_HEADS = 'all'

/** The choices of blocks and heads. What is last in the encoder is shown first. */
export function showAttentionChoices({ encoded }: View): void {
  const attention = encoded?.attention ?? null
  page.block.disabled = page.head.disabled = attention === null
  if (!attention) return
  const { blocks, heads, pooling } = attention
  const count = (n: number) =>
    Array.from({ length: n }, (_, i) => ({ value: String(i), label: String(i + 1) }))
  const ofBlocks = [...count(blocks), ...(pooling ? [{ value: POOLING, label: 'pooling' }] : [])]
  if (page.block.options.length !== ofBlocks.length) fillSelect(page.block, ofBlocks, ofBlocks.at(-1)!.value)
  const ofHeads = [{ value: 'mean', label: 'mean' }, { value: ALL_HEADS, label: 'all' }, ...count(heads)]
  if (page.head.options.length !== ofHeads.length) fillSelect(page.head, ofHeads, 'mean')
}

/** Shows only what the open models can do. Where there is none, or no encoder, the place for attention says so. */
export function showAbilities({ opened }: View): void {
  for (const part of page.rebuilding) part.hidden = opened !== null && !opened.models.autoencoder
  for (const part of page.seeing) part.hidden = !opened?.models.encoder
}
