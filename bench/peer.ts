/** The PyTorch that sherd is measured beside: a `python3` that has torch. */
import { spawnSync } from 'node:child_process'

export interface Peer {
  readonly python: string
  readonly torch: string
  readonly torchvision: string | null
}

const packages = 'python3-torch python3-torchvision'

function find(): Peer | null {
  const script =
    'import json, torch\ntry:\n import torchvision as v\n vision = v.__version__\nexcept ImportError:\n vision = None\nprint(json.dumps([torch.__version__, vision]))'
  for (const python of [process.env.SHERD_PEER_PYTHON ?? 'python3', '/usr/bin/python3']) {
    const asked = spawnSync(python, ['-c', script], { encoding: 'utf8' })
    if (asked.status !== 0) continue
    const [torch, torchvision] = JSON.parse(asked.stdout) as [string, string | null]
    return { python, torch, torchvision }
  }
  return null
}

/** Finds the peer; as root on Debian installs it first. `null`, with the reason printed, when there is none. */
export function findPeer(): Peer | null {
  const found = find()
  if (found) return found
  if (process.getuid?.() === 0) {
    console.error(`bench: installing ${packages} …`)
    spawnSync('apt-get', ['update', '-q'], { stdio: 'ignore' })
    spawnSync('apt-get', ['install', '-y', '-q', '--no-install-recommends', ...packages.split(' ')], {
      stdio: ['ignore', 'ignore', 'inherit'],
    })
  }
  const installed = find()
  if (!installed)
    console.error(
      `bench: no python3 with torch, so sherd is measured alone. As root: apt-get install -y ${packages}`,
    )
  return installed
}
