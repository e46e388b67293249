/** The process of one trial. Started by trial.ts. */
import { rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { answerOrder } from '../machine/own-process.ts'
import { type Trial, type TrialRequest, takeTrial } from './take-trial.ts'

answerOrder<TrialRequest, Trial>(takeTrial, ({ out }) =>
  rmSync(dirname(out), { recursive: true, force: true }),
)
