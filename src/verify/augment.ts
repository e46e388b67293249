/** Reference files of augmentations: steps on bytes, compared byte for byte with Pillow's and torchvision's. */
import { z } from 'zod'
import { SherdError } from '../errors.ts'
import { applySteps } from '../prepare/augment/operators.ts'
import { isOperator, stepSchemas } from '../prepare/augment/step.ts'
import { type Check, compare } from './check.ts'
import { arrayOf, type Checked, readCase, readOperatorFile } from './operator-file.ts'

const caseSchema = z.object({
  image: z.string(),
  steps: z.array(z.looseObject({ operator: z.string() })).min(1),
})

// torchvision sums this one in float32, whose roundings decide halves.
const toleranceOf = (operators: readonly string[]) => (operators.includes('blurTorchvision') ? 1 : 0)

export function checkAugment(file: string): Checked {
  const { cases, tensors } = readOperatorFile(file)
  const checks: Check[] = []
  const notSupported: string[] = []
  const expected = new Set([...tensors.keys()].filter((name) => name.startsWith('expected.')))
  for (const [name, options] of cases) {
    const { image, steps } = readCase(name, options, caseSchema)
    const output = `expected.out.${name}`
    expected.delete(output)
    const known = steps.flatMap((step) =>
      isOperator(step.operator)
        ? [readCase(`${name}, ${step.operator}`, step, stepSchemas[step.operator])]
        : [],
    )
    if (known.length < steps.length) {
      const unknown = steps.find(({ operator }) => !isOperator(operator))?.operator
      notSupported.push(`case "${name}": operator "${unknown}"`)
      continue
    }
    const { data, shape } = arrayOf(tensors, `input.image.${image}`, 'uint8')
    const [height = 0, width = 0, channels] = shape
    if (shape.length !== 3 || channels !== 3 || height * width === 0)
      throw new SherdError(
        'VALUE',
        `input.image.${image}: expected [height, width, 3], got [${shape.join(', ')}]`,
      )
    const found = applySteps({ height, width, pixels: data as Uint8Array }, known)
    const wanted = arrayOf(tensors, output, 'uint8')
    const size = `${found.height}, ${found.width}, 3`
    if (size !== wanted.shape.join(', '))
      throw new SherdError('VALUE', `${output}: its steps give [${size}], got [${wanted.shape.join(', ')}]`)
    const tolerance = toleranceOf(steps.map(({ operator }) => operator))
    checks.push(compare(`out.${name}`, found.pixels, wanted, { tolerance }))
  }
  const [lost] = expected
  if (lost !== undefined) throw new SherdError('VALUE', `it has a tensor that belongs to no case: "${lost}"`)
  return { checks, notSupported }
}
