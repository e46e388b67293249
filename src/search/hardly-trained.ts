/** Whether the vectors of an index are of a model that has learned little: what it finds alike is mostly colour and brightness. */
import type { IndexFacts } from './index-folder.ts'

/** Steps of training, of any batch size, after which features say something. */
const STEPS = 200

/** What is to be said of the model, such as "after 4 steps of training"; null for a trained one, or if it is not known. */
export function hardlyTrained({ model }: Pick<IndexFacts, 'model'>): string | null {
  if (model?.path === 'random') return 'with random weights'
  const step = model?.step ?? null
  if (step === null || model?.isInherited || step >= STEPS) return null
  return step === 0 ? 'that was not trained' : `after ${step} ${step === 1 ? 'step' : 'steps'} of training`
}
