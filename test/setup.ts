// Runs before every test file: warnings are errors, so that nothing is silently deprecated; ONNX Runtime keeps to itself what it runs.
process.on('warning', (warning) => {
  if (warning.name !== 'ExperimentalWarning') throw warning
})
process.env.ORT_DISABLE_TELEMETRY = '1'
