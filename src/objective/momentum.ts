/** The momentum of a teacher as a schedule, which is logged under `momentum`. */
import type { Schedule } from '../optim/schedule.ts'
import type { Momentum } from '../target/target.ts'

/** At step i of n, from 0: from + i (to − from) / n, then `to`. */
export const momentumSchedule = ({ from, to, over }: Momentum): Schedule =>
  from === to
    ? { kind: 'constant', value: from }
    : { kind: 'linear', from, to, ...(over !== null && { over }) }
