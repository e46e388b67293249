/** `sherd evaluate`: one subcommand for each protocol. */
import type { Command } from 'commander'
import { addFinetune } from './evaluate-finetune.ts'
import { addFrozen } from './evaluate-frozen.ts'
import { addSegment } from './evaluate-segment.ts'

export function addEvaluate(root: Command): void {
  const evaluate = root.command('evaluate').description('measure what an encoder has learned')
  addFrozen(evaluate)
  addFinetune(evaluate)
  addSegment(evaluate)
}
