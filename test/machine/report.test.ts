import { describe, expect, it } from 'vitest'
import { reportOf, withoutNames } from '../../src/machine/report.ts'

const personal = {
  home: '/home/maria',
  user: 'maria',
  host: 'marias-laptop.example.org',
  root: '/data/acme/sherd',
}
const clean = (text: string) => withoutNames(text, personal)

describe('withoutNames', () => {
  it('says ~ for home, and nothing of user and host', () => {
    expect(clean('/home/maria/photos/a.jpg on marias-laptop.example.org, marias-laptop')).toBe(
      '~/photos/a.jpg on <host>, <host>',
    )
    expect(clean('Maria ran it; mariachi did not')).toBe('<user> ran it; mariachi did not')
    expect(clean('/home/mariana/x')).toBe('…/<user>/x')
    expect(clean('/Users/john/x, C:\\Users\\John\\x')).toBe('…/<user>/x, C:\\Users\\<user>\\x')
  })
  it('keeps the folders of the system and the ends of others', () => {
    expect(clean('/usr/lib/x86_64-linux-gnu/libblas.so.3')).toBe('/usr/lib/x86_64-linux-gnu/libblas.so.3')
    expect(clean('LIBTORCH=/mnt/clinic/projects/libtorch')).toBe('LIBTORCH=…/projects/libtorch')
    expect(clean('/data/acme/sherd/native/build/1/sherd.node')).toBe('<sherd>/native/build/1/sherd.node')
    expect(clean('/a/b:/usr/lib:/x/y/z/w')).toBe('/a/b:/usr/lib:…/z/w')
    expect(clean('https://nodejs.org/en/download and GFLOP/s')).toBe(
      'https://nodejs.org/en/download and GFLOP/s',
    )
  })
  it('leaves words alone that are also names of users', () => {
    const root = { ...personal, home: '/root', user: 'root', host: 'a' }
    expect(withoutNames('as root: a file in /root/x', root)).toBe('as root: a file in ~/x')
  })
})

describe('reportOf', () => {
  const report = reportOf({
    ...{ version: '1.2.3', personal },
    findings: [
      { name: 'addon', status: 'fail', value: '/home/maria/x.node: no such file', fix: 'sherd setup' },
      { name: 'sharp', status: 'ok', value: '0.35' },
    ],
    env: {
      OMP_NUM_THREADS: '2',
      LIBTORCH: '/home/maria/torch',
      SECRET_TOKEN: 'abc',
      AWS_KEY: 'def',
      HOME: '/home/maria',
    },
  })
  it('has versions, hardware, findings and the variables that matter', () => {
    expect(report).toContain('| sherd | 1.2.3 |')
    expect(report).toContain(`| Node.js | ${process.versions.node}, V8`)
    expect(report).toMatch(/\| memory \| \d+\.\d GiB.*, \d+\.\d GiB free \|/)
    expect(report).toContain('| fail | addon | ~/x.node: no such file → sherd setup |')
    expect(report).toContain('| ok | sharp | 0.35 |')
    expect(report).toContain('| LIBTORCH | ~/torch |\n| OMP_NUM_THREADS | 2 |')
  })
  it('has no other variables, and no names', () => {
    expect(report).not.toMatch(/SECRET|abc|AWS|def|maria/i)
  })
})
