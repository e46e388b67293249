// Runs before every test file: warnings are errors, so that nothing is silently deprecated.
process.on('warning', (warning) => {
  if (warning.name !== 'ExperimentalWarning') throw warning
})
