/** The elements of index.html, found once and checked. */

function find<T extends Element>(id: string, kind: new () => T): T {
  const element = document.getElementById(id)
  if (element instanceof kind) return element
  throw new Error(`index.html has no ${kind.name} "${id}"`)
}

const button = (id: string) => find(id, HTMLButtonElement)
const canvas = (id: string) => find(id, HTMLCanvasElement)
const input = (id: string) => find(id, HTMLInputElement)
const select = (id: string) => find(id, HTMLSelectElement)
const any = (id: string) => find(id, HTMLElement)

export const page = {
  alert: any('alert'),
  alertText: any('alert-text'),
  alertClose: button('alert-close'),
  status: any('status'),
  drop: any('drop'),

  desk: any('desk'),
  plates: any('plates'),
  model: find('model', HTMLDetailsElement),
  modelName: any('model-name'),
  modelFacts: any('model-facts'),
  modelFiles: input('model-files'),
  loading: any('loading'),
  loadingText: any('loading-text'),
  progress: find('progress', HTMLProgressElement),

  pictureName: any('picture-name'),
  imageFile: input('image-file'),
  imageCamera: input('image-camera'),
  samples: any('samples'),

  design: select('design'),
  ratio: input('ratio'),
  ratioField: any('ratio-field'),
  ratioValue: find('ratio-value', HTMLOutputElement),
  ratioHint: any('ratio-hint'),
  seed: input('seed'),
  seedField: any('seed-field'),
  nextSeed: button('next-seed'),
  statistics: find('statistics', HTMLFieldSetElement),
  statisticsHint: any('statistics-hint'),
  save: button('save'),
  link: button('link'),

  undo: button('undo'),
  redo: button('redo'),
  invert: button('invert'),
  showAll: button('show-all'),
  hideAll: button('hide-all'),

  masked: canvas('masked'),
  rebuilt: canvas('rebuilt'),
  rebuiltCaption: any('rebuilt-caption'),
  compare: input('compare'),
  numbers: any('numbers'),
  original: canvas('original'),
  originalCaption: any('original-caption'),
  error: canvas('error'),
  errorHigh: any('error-high'),
  errorKind: select('error-kind'),
  errorCaption: any('error-caption'),
  errorNumbers: find('error-numbers', HTMLDetailsElement),
  errorScroll: any('error-scroll'),
  errorTable: find('error-table', HTMLTableElement),
  attention: canvas('attention'),
  attentionLow: any('attention-low'),
  attentionHigh: any('attention-high'),
  attentionCaption: any('attention-caption'),
  attentionTitle: any('attention-title'),
  block: select('block'),
  head: select('head'),
  features: canvas('features'),
  featuresCaption: any('features-caption'),
  like: canvas('like'),
  likeLow: any('like-low'),
  likeCaption: any('like-caption'),
  other: canvas('other'),
  otherFile: input('other-file'),
  otherSample: select('other-sample'),
  otherCaption: any('other-caption'),
  /** What needs an autoencoder, and what needs an encoder. */
  rebuilding: ['plate-masked', 'mask-controls', 'plate-rebuilt', 'result-controls', 'plate-error'].map(any),
  seeing: ['plate-features', 'plate-like', 'plate-other'].map(any),
}

/** Fills a list of terms. */
export function fillFacts(list: HTMLElement, facts: readonly (readonly [string, string])[]): void {
  list.replaceChildren(
    ...facts.map(([term, value]) => {
      const pair = document.createElement('div')
      const dt = document.createElement('dt')
      const dd = document.createElement('dd')
      dt.textContent = term
      dd.textContent = value
      pair.append(dt, dd)
      return pair
    }),
  )
}

/** Fills a choice, and keeps what is chosen where it is still there. */
export function fillSelect(
  list: HTMLSelectElement,
  options: readonly { readonly value: string; readonly label: string }[],
  chosen: string = list.value,
): void {
  list.replaceChildren(
    ...options.map(({ value, label }) => new Option(label, value, false, value === chosen)),
  )
}
