/** `sherd evaluate`: one subcommand for each protocol. */
import type { Command } from 'commander'
import { describeCommand } from '../help.ts'
import { addFinetune } from './evaluate-finetune.ts'
import { addFrozen } from './evaluate-frozen.ts'
import { addSegment } from './evaluate-segment.ts'

export function addEvaluate(root: Command): void {
  const evaluate = describeCommand(root.command('evaluate'), {
    group: 'Evaluate',
    page: 'evaluate.md',
    examples: [
      'sherd evaluate knn --run runs/photos --data labelled --out reports/knn  # seconds: does it know more than chance?',
      'sherd evaluate linear --run runs/photos --data labelled --out reports/linear  # the usual number of papers',
      'sherd evaluate finetune --run runs/photos --data labelled --out reports/finetune  # the best classifier that it gives',
    ],
  }).description('measure what an encoder has learned')
  addFrozen(evaluate)
  addFinetune(evaluate)
  addSegment(evaluate)
}
