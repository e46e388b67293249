/** `samples/`: reconstructions of the same images every `log.pictureEverySteps` steps, early on, and of the last. */
import { join } from 'node:path'
import { writeWhole } from '../../files/write-whole.ts'
import { drawReconstructions } from '../../picture/reconstruction-grid.ts'
import type { RunEvent } from '../events.ts'
import { hasPictures, reconstructExhibit } from '../pictures.ts'
import type { Run } from '../run.ts'
import { beside, type Consumer } from './consumer.ts'

export function drawPictures(run: Run, isEarly: (step: number) => boolean = () => false): Consumer {
  const { paths, config, state, model, exhibit, span } = run
  const every = hasPictures(model) ? config.log.pictureEverySteps : 0
  let drawn: { readonly step: number; readonly path: string } | null = null
  const draw = (): Promise<RunEvent> => {
    const { step } = state
    return beside(run, `The picture of step ${step}`, () =>
      span('pictures', async (): Promise<RunEvent> => {
        const path = join(paths.samples, `step-${String(step).padStart(8, '0')}.png`)
        const rebuilt = reconstructExhibit(model, exhibit, config.train.seed)
        writeWhole(path, await drawReconstructions(rebuilt, { step }))
        drawn = { step, path }
        return { kind: 'picture', ...drawn }
      }),
    )
  }
  return {
    async on({ kind }) {
      if (kind !== 'step' || every === 0) return []
      const isFirst = isEarly(state.step) && drawn === null
      return isFirst || state.step % every === 0 ? [await draw()] : []
    },
    // The last picture is in the `end` event; only a failure is an event of its own.
    end: async () =>
      every > 0 && drawn?.step !== state.step ? [await draw()].filter(({ kind }) => kind !== 'picture') : [],
    summary: () => ({ picture: drawn?.path ?? null }),
  }
}
