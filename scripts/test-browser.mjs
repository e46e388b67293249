// For `npm test`: a Chromium to test the playground in. As root on Debian it is installed; elsewhere those tests are skipped, and
// this says so. Nobody needs it to use sherd.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'

const names = ['chromium', 'chromium-browser', 'google-chrome']
const found = () =>
  (process.env.PATH ?? '').split(delimiter).some((dir) => names.some((name) => existsSync(join(dir, name))))

const apt = (...args) =>
  spawnSync('apt-get', args, {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  }).status === 0

const isDebian = existsSync('/etc/debian_version') && existsSync('/usr/bin/apt-get')
if (!found() && isDebian && process.getuid?.() === 0) {
  console.error('sherd: installing Chromium for the tests of the playground …')
  apt('update', '-q')
  apt('install', '-y', '-q', '--no-install-recommends', 'chromium')
}
if (!found())
  console.error(
    `sherd: no Chromium (${names.join(', ')}) in the PATH, so the playground is not tested in a browser. On Debian: apt-get install -y chromium`,
  )
