/** The pages and routes for people: the page at `/`, and the rows that `sherd serve` prints. */
import { createHash } from 'node:crypto'
import { escapeXml } from '../files/xml.ts'
import type { ImageIndex } from '../search/index-folder.ts'
import { modelUrl } from './description.ts'
import type { ServedModel } from './models.ts'

/** A page or a route. */
export interface Place {
  readonly method: 'GET' | 'POST'
  readonly url: string
  readonly summary: string
}

export interface StartPage {
  readonly version: string
  readonly models: readonly ServedModel[]
  readonly places: readonly Place[]
  readonly index: ImageIndex | null
}

/** On a phone what stands beside one another comes below one another; buttons are large enough for a finger. */
const style = `body{font:1rem/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}
table{border-collapse:collapse}td{text-align:left;vertical-align:top;padding:.25rem 1rem .25rem 0}td:first-child{white-space:nowrap}
pre{white-space:pre-wrap;padding:.75rem;border:1px solid #8886}pre span{white-space:nowrap}
button,input{font:inherit;min-height:2.75rem;max-width:100%}button{padding:0 1rem;margin:0 .5rem .5rem 0}
@media(max-width:40rem){td{display:block;padding:0}td:last-child{padding-bottom:.75rem}}`

/** Content security policy: that style, and forms to this server. */
export const startPagePolicy = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(style).digest('base64')}'`,
  "img-src 'self' data:",
  "form-action 'self'",
  "base-uri 'none'",
]

/** Classes listed on the page; `/v1/model` has all. */
const MOST_CLASSES = 100

const code = (text: string) => `<code>${escapeXml(text)}</code>`
/** A summary, with its `names` as code. */
const prose = (text: string) => escapeXml(text).replace(/`([^`]+)`/g, '<code>$1</code>')
/** Relative, so that the page also works behind a reverse proxy with a path prefix. */
const href = (url: string) => escapeXml(url.replace(/^\//, ''))
const rowOf = (cells: readonly string[]) => `<tr>${cells.map((cell) => `<td>${cell}</td>`).join('')}</tr>`

function classesOf({ classes }: ServedModel): string {
  if (!classes) return ''
  const named = classes.slice(0, MOST_CLASSES).map(escapeXml).join(', ')
  return `${classes.length} classes: ${named}${classes.length > MOST_CLASSES ? ', …' : ''}`
}

function modelRow(model: ServedModel): string {
  const { graph, precision, shape, origin } = model
  const [channels, height, width] = shape
  const step = origin.step === null ? '' : `, step ${origin.step}`
  const size = `${height} × ${width} pixels, ${channels} channels, ${escapeXml(precision)}${step}`
  return rowOf([`<a href="${href(modelUrl(model))}">${escapeXml(graph)}</a>`, size, classesOf(model)])
}

/** A form without a script, which posts to the routes directly. */
function formOf(posts: readonly Place[]): string {
  const buttons = posts.map(({ url }) => {
    const asked = url === '/v1/reconstruct' ? `${url}?format=png` : url
    return `<button formaction="${href(asked)}">${escapeXml(url.split('/').at(-1)!)}</button>`
  })
  return `<h2>Try it</h2>
<form method="post" enctype="multipart/form-data">
<p><label>Pictures: <input type="file" name="file" accept="image/*" multiple required></label></p>
<p>${buttons.join('')}</p>
</form>`
}

export function startPage({ version, models, places, index }: StartPage): string {
  const posts = places.filter(({ method }) => method === 'POST')
  const rows = places.map(({ method, url, summary }) =>
    rowOf([
      method === 'GET' ? `<a href="${href(url)}">${code(url)}</a>` : code(`${method} ${url}`),
      prose(summary),
    ]),
  )
  const indexed = index
    ? `<p>The index holds ${index.facts.count} images (pool ${escapeXml(index.facts.pooling)}).</p>`
    : ''
  const example = posts[0]
    ? `<p>From a program or a shell, with this page's address for <code>…</code>:</p>
<pre><code>curl <span>--data-binary @photo.jpg</span> <span>-H 'content-type: image/jpeg'</span> <span>'…${escapeXml(posts[0].url.slice(1))}'</span></code></pre>`
    : ''
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>sherd serve</title>
<link rel="icon" href="data:,">
<style>${style}</style>
<h1>sherd serve</h1>
<p>Version ${escapeXml(version)}: what a model of masked image modelling makes of pictures.</p>
${posts.length > 0 ? formOf(posts) : ''}
<h2>What is here</h2>
<table>${rows.join('')}</table>
${example}
<h2>Models</h2>
<table>${models.map(modelRow).join('')}</table>
${indexed}
`
}

/** Of each place what to open or to send, and what it is. */
export const placeRows = (url: string, places: readonly Place[]): [address: string, summary: string][] =>
  places.map(({ method, url: path, summary }) => [
    method === 'GET' ? url + path : `POST ${path}`,
    summary.replaceAll('`', '"'),
  ])
