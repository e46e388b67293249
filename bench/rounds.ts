/**
 * A program that is measured in rounds: it prints a line of JSON when it is ready, then answers each line of JSON with
 * another. Two of them can so take turns within one run, and whatever else the machine does hits both.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

export interface Rounds<Ask, Answer> {
  readonly ready: Readonly<Record<string, unknown>>
  ask(question: Ask): Promise<Answer>
  end(): Promise<void>
}

/**
 * Starts the program and waits until it is ready. Rejects with what it wrote to standard error when it ends early, and when it is not ready
 * within `patience` seconds: then it is ended.
 */
export async function startRounds<Ask, Answer>(
  command: readonly string[],
  patience?: number,
): Promise<Rounds<Ask, Answer>> {
  const [program = '', ...args] = command
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] })
  let isLate = false
  const limit =
    patience === undefined
      ? undefined
      : setTimeout(() => {
          isLate = true
          child.kill('SIGKILL')
        }, 1000 * patience)
  let complaints = ''
  child.stderr.on('data', (chunk) => {
    complaints += String(chunk)
  })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const next = async () => {
    const { value, done } = await lines.next()
    if (done && isLate) throw new Error(`not ready within ${patience} s`)
    // Its first words say what went wrong, or its last: JavaScript begins with the message, Python ends with it.
    if (done)
      throw new Error(
        `${command.slice(0, 2).join(' ')} ended: ${complaints.length > 4000 ? `${complaints.slice(0, 2000)}\n…\n${complaints.slice(-2000)}` : complaints}`,
      )
    return JSON.parse(value) as unknown
  }
  const ready = (await next().finally(() => clearTimeout(limit))) as Record<string, unknown>
  return {
    ready,
    async ask(question) {
      child.stdin.write(`${JSON.stringify(question)}\n`)
      return (await next()) as Answer
    },
    async end() {
      const exited = once(child, 'exit')
      child.stdin.end()
      await exited
    },
  }
}

/** The other side: answers every line of standard input. */
export async function answerRounds<Ask>(ready: unknown, answer: (question: Ask) => unknown): Promise<void> {
  console.log(JSON.stringify(ready))
  for await (const line of createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(await answer(JSON.parse(line) as Ask)))
  }
}
