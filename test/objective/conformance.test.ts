import { conforms } from './conformance.ts'
import { rows } from './conformance-rows.ts'

for (const [name, row] of Object.entries(rows)) conforms(name, row as never)
