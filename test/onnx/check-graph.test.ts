import { expect, it } from 'vitest'
import { checkGraph } from '../../src/onnx/check-graph.ts'
import { type Graph, type Node, withoutDead } from '../../src/onnx/graph.ts'

const node = (op: string, inputs: string[], output: string): Node => ({
  ...{ op, inputs, outputs: [output], attributes: {} },
})
const value = (name: string) => ({ name, type: 'float32', shape: [{ batch: 1 }, 2] }) as const
const sound: Graph = {
  ...{ name: 'test', opset: 17 },
  nodes: [node('Add', ['x', 'w'], 'a'), node('Mul', ['a', 'x'], 'y')],
  initializers: [{ name: 'w', type: 'float32', shape: [2], values: new Float32Array(2) }],
  ...{ inputs: [value('x')], outputs: [value('y')], values: [value('a')] },
}

it('lets a sound graph pass', () => expect(() => checkGraph(sound)).not.toThrow())

it.each<[string, Partial<Graph>, string]>([
  ['nodes out of order', { nodes: [...sound.nodes].reverse() }, 'Mul "y" takes "a" before anything makes it'],
  [
    'an input that nobody knows',
    { nodes: [node('Add', ['x', 'v'], 'a'), sound.nodes[1]!] },
    'takes "v" before',
  ],
  ['a name for two things', { nodes: [...sound.nodes, node('Add', ['x', 'w'], 'a')] }, 'have the name "a"'],
  ['a name that an initializer has', { inputs: [value('w'), value('x')] }, 'have the name "w"'],
  ['an output that nobody makes', { outputs: [value('y'), value('z')] }, 'nothing makes the output "z"'],
  ['a description of nothing', { values: [value('a'), value('b')] }, 'nothing makes the value "b"'],
  ['a value without a type', { values: [] }, 'unknown type of "a"'],
  [
    'an unknown operator',
    { nodes: [node('Magic', ['x'], 'a'), sound.nodes[1]!] },
    'Magic "a" is an operator without',
  ],
  [
    'types that do not fit',
    { initializers: [{ name: 'w', type: 'int64', shape: [2], values: new BigInt64Array(2) }] },
    'Add "a" takes no float32, int64',
  ],
  [
    'an initializer of another length',
    { initializers: [{ name: 'w', type: 'float32', shape: [3], values: new Float32Array(2) }] },
    'has 8 bytes for float32[3]',
  ],
])('finds %s', (_, change, message) => {
  expect(() => checkGraph({ ...sound, ...change })).toThrow(message)
})

it('dead code is left out, with its constants', () => {
  const dead = node('Sub', ['x', 'unused'], 'd')
  const unused = { name: 'unused', type: 'float32', shape: [1], values: new Float32Array(1) } as const
  const graph = withoutDead({
    ...sound,
    nodes: [dead, ...sound.nodes],
    initializers: [...sound.initializers, unused],
    values: [...sound.values, value('d')],
  })
  expect(graph).toEqual(sound)
})
