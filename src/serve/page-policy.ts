/** Content security policy of the playground: its own files, WebAssembly, and models from the address in its URL. Its build also writes this into the page. */
export const pagePolicy = [
  "default-src 'self'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "worker-src 'self' blob:",
  "connect-src 'self' http: https: blob:",
  "img-src 'self' data: blob:",
  "form-action 'none'",
  "base-uri 'none'",
]
