/** What the playground may load: its own files, WebAssembly, and models from where its address says. Its build writes this into the page, too. */
export const pagePolicy = [
  "default-src 'self'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "worker-src 'self' blob:",
  "connect-src 'self' http: https: blob:",
  "img-src 'self' data: blob:",
  "form-action 'none'",
  "base-uri 'none'",
]
