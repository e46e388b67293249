/** The PyTorch that sherd is measured beside: a `python3` that has torch. */
import { spawnSync } from 'node:child_process'

export interface Peer {
  readonly python: string
  readonly torch: string
  readonly torchvision: string | null
  /** The instruction set that its operators were chosen for, and the libraries that multiply: `AVX512, oneDNN 3.12.0, MKL 2024.2`. */
  readonly built: string
}

/** What it is, for tables. */
export const peerTitle = ({ torch, torchvision, built }: Peer): string =>
  `PyTorch ${torch} (${built})${torchvision === null ? '' : `, torchvision ${torchvision}`}`

const script = `
import json, re, torch
try:
    import torchvision
    vision = torchvision.__version__
except ImportError:
    vision = None
show = torch.__config__.show()
found = lambda pattern: next(iter(re.findall(pattern, show)), None)
capability = getattr(torch.backends, "cpu", None)
cpu = capability.get_cpu_capability() if capability else found(r"CPU capability usage: (\\S+)") or "?"
libraries = [("oneDNN", found(r"MKL-DNN v(\\S+)")), ("MKL", found(r"Kernel Library Version (\\S+?)-"))]
built = ", ".join([cpu] + [f"{name} {version}" for name, version in libraries if version])
print(json.dumps([torch.__version__, vision, built]))
`

const packages = 'python3-torch python3-torchvision'

function find(): Peer | null {
  for (const python of [process.env.SHERD_PEER_PYTHON ?? 'python3', '/usr/bin/python3']) {
    const asked = spawnSync(python, ['-c', script], { encoding: 'utf8' })
    if (asked.status !== 0) continue
    const [torch, torchvision, built] = JSON.parse(asked.stdout) as [string, string | null, string]
    return { python, torch, torchvision, built }
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
