/** `npm run experiment NAME -- …`: a question, answered by the commands that users have. */
const experiments: Readonly<Record<string, () => Promise<{ run(args: readonly string[]): Promise<void> }>>> =
  {
    cifar10: () => import('./cifar10.ts'),
    presets: () => import('./presets.ts'),
    satellite: () => import('./satellite.ts'),
    targets: () => import('./targets.ts'),
  }

const [name = '', ...args] = process.argv.slice(2)
const load = Object.hasOwn(experiments, name) ? experiments[name] : undefined
if (load) await (await load()).run(args)
else {
  console.error(`npm run experiment NAME; there are: ${Object.keys(experiments).join(', ')}`)
  process.exitCode = 2
}
