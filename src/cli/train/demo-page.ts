/**
 * The page that the demonstration ends with: one HTML file without network, readable on a phone and in the dark. Pictures are in it as
 * data; the curve is drawn here, in the colours of the page.
 */
import { type Point, runningMedian, thin } from '../../picture/series.ts'

export interface DemoPicture {
  readonly step: number
  readonly png: Uint8Array
}

export interface DemoFacts {
  /** Such as `your images in photos`. */
  readonly of: string
  readonly images: number
  readonly steps: number
  readonly batch: number
  readonly parameters: number
  readonly imageSize: number
  readonly hiddenShare: number
  /** Null where it went on from an earlier start. */
  readonly time: string | null
  readonly losses: readonly Point[]
  /** The loss where nothing is learned. */
  readonly chance: number | null
  /** The first and the last. */
  readonly pictures: readonly DemoPicture[]
  /** What may be done next: in words, and the command. */
  readonly next: readonly { readonly what: string; readonly command: string }[]
}

const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }
const html = (text: string) => text.replaceAll(/[&<>"]/g, (character) => entities[character]!)
const grouped = (n: number) => n.toLocaleString('en-US')

const WIDTH = 600
const HEIGHT = 280
const ROOM = { left: 52, right: 12, top: 14, bottom: 34 }

/** Losses over steps: every value thin, their median thick, the chance level dashed. */
function curve({ losses, chance, steps }: Pick<DemoFacts, 'losses' | 'chance' | 'steps'>): string {
  const median = runningMedian(losses, { window: 21, count: 200 })
  const last = median.at(-1)!.y
  const levels = [
    ...losses.slice(Math.min(4, losses.length - 1)).map(({ y }) => y),
    ...(chance === null ? [] : [chance]),
  ]
  const [low, high] = [Math.min(...levels), Math.max(...levels)]
  const [from, to] = [low - 0.08 * (high - low || 1), high + 0.08 * (high - low || 1)]
  const x = (step: number) =>
    ROOM.left + ((step - 1) / Math.max(1, steps - 1)) * (WIDTH - ROOM.left - ROOM.right)
  const y = (loss: number) =>
    ROOM.top + ((to - Math.min(to, loss)) / (to - from)) * (HEIGHT - ROOM.top - ROOM.bottom)
  const line = (points: readonly Point[]) =>
    points.map((point) => `${x(point.x).toFixed(1)},${y(point.y).toFixed(1)}`).join(' ')
  const tick = (value: number) =>
    `<text x="${ROOM.left - 8}" y="${(y(value) + 6).toFixed(1)}" text-anchor="end">${value.toFixed(2)}</text><line class="rule" x1="${ROOM.left}" x2="${WIDTH - ROOM.right}" y1="${y(value).toFixed(1)}" y2="${y(value).toFixed(1)}"/>`
  const ticks = [low, (low + high) / 2, high].map(tick).join('')
  const dashed =
    chance === null
      ? ''
      : `<line class="chance" x1="${ROOM.left}" x2="${WIDTH - ROOM.right}" y1="${y(chance).toFixed(1)}" y2="${y(chance).toFixed(1)}"/>`
  const words = `Loss over ${grouped(steps)} steps: from ${losses[0]!.y.toFixed(2)} to ${last.toFixed(2)}${chance === null ? '' : `; where nothing is learned it is ${chance.toFixed(2)}`}.`
  return `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${html(words)}"><title>${html(words)}</title>${ticks}${dashed}<polyline class="each" points="${line(thin(losses, 300))}"/><polyline class="median" points="${line(median)}"/><text x="${ROOM.left}" y="${HEIGHT - 6}">step 1</text><text x="${WIDTH - ROOM.right}" y="${HEIGHT - 6}" text-anchor="end">step ${grouped(steps)}</text></svg>`
}

function verdict({ losses, chance }: DemoFacts): string {
  const last = runningMedian(losses, { window: 21, count: 200 }).at(-1)!.y
  if (chance === null) return 'It should fall, steeply at first.'
  if (last < chance - 0.02)
    return `It ends at ${last.toFixed(2)}. A model that always says the mean colour of a patch gets ${chance.toFixed(2)} (the dashed line): what lies below that was learned.`
  return `It ends at ${last.toFixed(2)}, and a model that always says the mean colour of a patch gets ${chance.toFixed(2)} (the dashed line): it has not learned more than that yet. Longer training or more images help.`
}

const picture = ({ step, png }: DemoPicture, hidden: number): string =>
  `<figure><div class="wide"><img alt="After ${grouped(step)} steps: rows of images, each as the original, with ${hidden} % of it hidden, and as the model rebuilds it." src="data:image/png;base64,${Buffer.from(png).toString('base64')}"></div><figcaption>After ${grouped(step)} ${step === 1 ? 'step' : 'steps'}</figcaption></figure>`

const style = `
:root{color-scheme:light dark;--text:#1b2330;--soft:#566072;--back:#fbfaf7;--card:#fff;--line:#dcdfe6;--ink:#b4531f;--faint:#e7b596}
@media(prefers-color-scheme:dark){:root{--text:#e8eaee;--soft:#a4adbb;--back:#14171c;--card:#1d2128;--line:#363c47;--ink:#f0955b;--faint:#7a4a2e}}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--text);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:880px;margin:0 auto;padding:24px 16px 56px}
h1{font-size:1.6rem;line-height:1.25;margin:0 0 8px}
h2{font-size:1.15rem;margin:36px 0 8px}
p{margin:0 0 12px}
.soft,figcaption{color:var(--soft)}
figure{margin:16px 0}
figcaption{font-size:.9rem;margin-top:6px}
.wide{overflow-x:auto;background:#fff;border:1px solid var(--line);border-radius:8px}
.wide img{display:block;width:100%;min-width:620px;height:auto}
svg{display:block;width:100%;height:auto;background:var(--card);border:1px solid var(--line);border-radius:8px}
svg text{fill:var(--soft);font-size:17px}
@media(min-width:700px){svg text{font-size:11px}}
polyline{fill:none;stroke-linejoin:round}
.each{stroke:var(--faint);stroke-width:1.5}
.median{stroke:var(--ink);stroke-width:4}
.rule{stroke:var(--line);stroke-width:1}
.chance{stroke:var(--soft);stroke-width:2;stroke-dasharray:7 6}
ol{padding-left:1.3em;margin:0}
li{margin:0 0 14px}
code{display:block;margin-top:4px;padding:8px 10px;overflow-x:auto;white-space:pre;background:var(--card);border:1px solid var(--line);border-radius:6px;font:14px/1.5 ui-monospace,Menlo,Consolas,monospace}
`

/** The whole page. */
export function demoPage(facts: DemoFacts): string {
  const { of, images, steps, batch, parameters, imageSize, hiddenShare, time, pictures, next } = facts
  const hidden = Math.round(100 * hiddenShare)
  const seen = (steps * batch) / images
  const often = seen < 2 ? '' : `, each about ${grouped(Math.round(seen))} times`
  const [first, last] = [pictures[0], pictures.at(-1)]
  const shown = first && last && first.step !== last.step ? [last, first] : last ? [last] : []
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>sherd: what it learned</title>
<link rel="icon" href="data:,">
<style>${style}</style>
</head>
<body>
<main>
<h1>What sherd learned from ${html(of)}</h1>
<p class="soft">${grouped(images)} ${images === 1 ? 'image' : 'images'}${often}, as squares of ${imageSize} × ${imageSize} pixels; ${grouped(steps)} steps; an encoder of ${(parameters / 1e6).toFixed(1)} million parameters${time === null ? '' : `; ${html(time)}`}.</p>
<p>The model sees a quarter of each image and has to rebuild the rest. Nothing says what an image shows: to guess the hidden part, the model has to find out what such images look like.</p>
<h2>What it rebuilds</h2>
<p>“Original” is the image, “masked” what the model saw of it (${hidden} % is hidden), “reconstruction” its guess. Look at shapes that go on behind the hidden parts, edges above all, and at colours. Fine texture cannot be guessed and stays smooth. A model as small as this one, after a few minutes, gets the large things right and little else.${seen > 200 ? ' With so few images it also learns them by heart.' : ''}</p>
${shown.map((each) => picture(each, hidden)).join('\n')}
<p class="soft">On a narrow screen the pictures can be moved sideways. The last column is helped by the true brightness of each hidden patch, the one before it by nothing that is hidden.</p>
<h2>How it learned</h2>
<figure>${curve(facts)}<figcaption>The error of its guesses (the loss), step by step, and its median</figcaption></figure>
<p>${html(verdict(facts))}</p>
<h2>What to do next</h2>
<ol>
${next.map(({ what, command }) => `<li>${html(what)}<code>${html(command)}</code></li>`).join('\n')}
</ol>
</main>
</body>
</html>
`
}
