import { describe, expect, it } from 'vitest'
import { type GuardOptions, guard, isLoopback } from '../../src/serve/guard.ts'

const own: GuardOptions = { host: '127.0.0.1', token: null, cors: null }
const asked =
  (options: Partial<GuardOptions>, headers: Record<string, string>, isOpen = false) =>
  () =>
    guard({ ...own, ...options }).check({ host: 'localhost:80', ...headers }, isOpen)
const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`

it('loopback addresses are those of this machine', () => {
  for (const host of ['127.0.0.1', '127.3.2.1', '::1', 'localhost']) expect(isLoopback(host)).toBe(true)
  for (const host of ['0.0.0.0', '::', '192.168.1.2', '127.example.org', '128.0.0.1', ''])
    expect(isLoopback(host)).toBe(false)
})

describe('on loopback', () => {
  it.each(['localhost', 'LOCALHOST:8080', '127.0.0.1:1', '[::1]:9'])('the name %s is ours', (host) => {
    expect(asked({}, { host })).not.toThrow()
  })

  it.each([
    '',
    'evil.example',
    'evil.example:8080',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    '10.0.0.1',
  ])('the name "%s" is not', (host) => {
    expect(asked({}, { host })).toThrow('the server answers to localhost')
  })

  it('names are not looked at where others can reach the server anyway', () => {
    expect(asked({ host: '0.0.0.0' }, { host: 'gpu.example:8080' })).not.toThrow()
  })
})

describe('pages', () => {
  it('of the server itself may ask', () => {
    expect(asked({}, { origin: 'http://localhost:80', host: 'localhost' })).not.toThrow()
    expect(asked({}, { origin: 'http://localhost:8080', host: 'localhost:8080' })).not.toThrow()
  })

  it.each(['http://localhost:81', 'https://evil.example', 'null', 'file://'])('of %s may not', (origin) => {
    expect(asked({}, { origin })).toThrow(`pages of ${origin} may not ask`)
    expect(guard(own).corsHeaders(origin)).toEqual({})
  })

  it('of an origin that is allowed may ask', () => {
    const cors = 'https://example.org'
    expect(asked({ cors }, { origin: cors })).not.toThrow()
    expect(asked({ cors }, { origin: 'https://evil.example' })).toThrow('may not ask')
    expect(guard({ ...own, cors }).corsHeaders(cors)).toMatchObject({ 'access-control-allow-origin': cors })
    expect(asked({ cors: '*' }, { origin: 'null' })).not.toThrow()
  })
})

describe('a token', () => {
  const token = 's3cret:with colon'

  it('is asked for as Bearer, or as the password of Basic', () => {
    expect(asked({ token: 'abc' }, { authorization: 'Bearer abc' })).not.toThrow()
    expect(asked({ token: 'abc' }, { authorization: 'bearer abc' })).not.toThrow()
    expect(asked({ token }, { authorization: `Bearer ${token}` })).not.toThrow()
    expect(asked({ token }, { authorization: basic(`anyone:${token}`) })).not.toThrow()
  })

  it.each([
    {},
    { authorization: '' },
    { authorization: 'Bearer' },
    { authorization: 'Bearer wrong' },
    { authorization: 'Bearer abcd' },
    { authorization: 'abc' },
    { authorization: basic('abc') },
    { authorization: basic('abc:') },
    { authorization: 'Basic !!!' },
  ])('is not %j', (headers) => {
    expect(asked({ token: 'abc' }, headers)).toThrow('expected the header "Authorization: Bearer TOKEN"')
  })

  it('is not needed for what is open', () => {
    expect(asked({ token }, {}, true)).not.toThrow()
  })
})
