import { expect, it } from 'vitest'
import { table, visible, wrapped } from '../../src/cli/output.ts'
import { asTyped, ownName } from '../../src/cli/own-name.ts'
import { escapeControls } from '../../src/errors.ts'

const [ESC, CSI, BELL, DEL, RTL] = [27, 0x9b, 7, 127, 0x202e].map((code) => String.fromCharCode(code))

it('control characters of names are shown, and not obeyed', () => {
  expect(escapeControls(`a${ESC}[2Jb${CSI}31m${BELL}${DEL}\r${RTL}c`)).toBe(
    'a\\u001b[2Jb\\u009b31m\\u0007\\u007f\\u000d\\u202ec',
  )
  expect(escapeControls('two\nlines\tof Grüße, 写真 and 🏺')).toBe('two\nlines\tof Grüße, 写真 and 🏺')
  expect(visible(`left out: ${ESC}]0;owned${BELL}.jpg`)).toBe('left out: \\u001b]0;owned\\u0007.jpg')
  // As part of JSON it says the same as before.
  const line = JSON.stringify({ file: `${CSI}2J${ESC}` })
  expect(JSON.parse(visible(line))).toEqual({ file: `${CSI}2J${ESC}` })
})

it('commands in texts of the library begin as they are typed here, and prose stays', () => {
  expect(wrapped('Type:\n  npx sherd serve --model a/long/name', 20)).toBe(
    'Type:\n  npx sherd serve --model a/long/name', // a command to copy stays in one piece
  )
  const text = 'sherd reads it: "sherd embed" writes them. Type:\n  sherd serve --model x\nsherd is a name'
  expect(asTyped(text)).toBe(
    `sherd reads it: "${ownName()} embed" writes them. Type:\n  ${ownName()} serve --model x\nsherd is a name`,
  )
})

it('a name in a table takes one line', () => {
  expect(
    table([
      [`a\nb${ESC}[A`, 'x'],
      ['c', 'y'],
    ]),
  ).toBe('a\\nb\\u001b[A  x\nc             y')
})

it('long lines break between words, under their own beginnings, and paths stick out', () => {
  expect(wrapped('  one two three four', 12)).toBe('  one two\n  three four')
  expect(wrapped('see /a/very/long/path/of/a/file.png now', 12)).toBe(
    'see\n/a/very/long/path/of/a/file.png\nnow',
  )
  expect(wrapped('写真 写真 写真', 9)).toBe('写真 写真\n写真') // two columns a character
})

it('a table fits: as it is, with wrapped text, or as blocks', () => {
  const rows = [
    ['key', 'count', 'meaning'],
    ['data.crop', '7', 'how a training image is cut out'],
  ]
  expect(table(rows, [1], { columns: null })).toBe(
    'key        count  meaning\ndata.crop      7  how a training image is cut out',
  )
  expect(table(rows, [1], { columns: 36 })).toBe(
    [
      'key        count  meaning',
      'data.crop      7  how a training',
      '                  image is cut out',
    ].join('\n'),
  )
  expect(table(rows, [1], { columns: 24, header: true })).toBe(
    ['data.crop', '  count: 7', '  meaning: how a', '  training image is cut', '  out'].join('\n'),
  )
})
