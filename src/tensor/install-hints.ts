/** Installation hints for the set-up, the loader and `sherd doctor`. */

/** Debian packages for training. */
export const debianPackages = ['g++', 'libtorch-dev', 'libopenblas0-openmp'] as const

export const aptCommand = `apt-get install -y --no-install-recommends ${debianPackages.join(' ')}`

export const installByHand = [
  'Debian 12 or newer, as root:',
  `  apt-get update && ${aptCommand}`,
  'Ubuntu has no libtorch package: install g++ (apt-get install -y g++) and use PyTorch from Python, or the C++ archive from pytorch.org:',
  '  export LIBTORCH=/path/to/libtorch',
  'macOS (Homebrew):',
  '  xcode-select --install && brew install pytorch',
  'You already have PyTorch in Python (2.x, with or without CUDA) and a C++ compiler:',
  '  export LIBTORCH_USE_PYTORCH=1',
  'Then run the same command again; "sherd doctor" shows what was found.',
].join('\n')
