/** A line of `sherd doctor`. */
export interface Finding {
  readonly name: string
  /** `fail`: training would not work; `warn`: it would be slow or limited. */
  readonly status: 'ok' | 'warn' | 'fail'
  readonly value: string
  /** The command that fixes it. */
  readonly fix?: string
}
