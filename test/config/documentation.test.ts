// What an editor shows of a key is the comment in front of it: it must be there, and be what `sherd presets --keys` prints.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'
import { packageRoot } from '../../src/package-root.ts'

interface Key {
  readonly name: string
  readonly comment: string | null
  readonly description: string | null
}

/** The text of `.describe(…)` in a chain of calls. */
function descriptionIn(node: ts.Node): string | null {
  if (!ts.isCallExpression(node) || !ts.isPropertyAccessExpression(node.expression)) return null
  const [text] = node.arguments
  if (node.expression.name.text === 'describe' && text && ts.isStringLiteralLike(text)) return text.text
  return descriptionIn(node.expression.expression)
}

/** The keys of every `z.strictObject({ … })` of a file. */
function keysOf(path: string): Key[] {
  const file = ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.Latest, true)
  const keys: Key[] = []
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node) && node.expression.getText(file) === 'z.strictObject')
      for (const property of (node.arguments[0] as ts.ObjectLiteralExpression).properties) {
        if (!ts.isPropertyAssignment(property)) throw new Error(`${path}: ${property.getText(file)}`)
        const comments = ts.getJSDocCommentsAndTags(property).filter(ts.isJSDoc)
        keys.push({
          name: property.name.getText(file),
          comment: ts.getTextOfJSDocComment(comments[0]?.comment) ?? null,
          description: descriptionIn(property.initializer),
        })
      }
    ts.forEachChild(node, visit)
  }
  visit(file)
  return keys
}

describe.each([
  ['schema.ts', 50],
  ['data-schema.ts', 15],
] as const)('src/config/%s', (name, least) => {
  const keys = keysOf(join(packageRoot(), 'src/config', name))
  it('has keys', () => expect(keys.length).toBeGreaterThan(least))
  it.each(keys)('$name has a comment that is its description', ({ comment, description }) => {
    expect(description).toMatch(/\S/)
    expect(comment).toBe(description)
  })
})
