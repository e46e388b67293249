/** Builds the playground into dist/playground. Addresses are relative: it works in any folder of any web server. */
import { fileURLToPath } from 'node:url'
import { defaultClientConditions, defineConfig, type Plugin } from 'vite'
import { pagePolicy } from '../src/serve/page-policy.ts'

const contentSecurityPolicy: Plugin = {
  name: 'content-security-policy',
  apply: 'build', // the development server needs scripts and styles of its own
  transformIndexHtml: () => [
    {
      ...{ tag: 'meta', injectTo: 'head-prepend' },
      attrs: { 'http-equiv': 'Content-Security-Policy', content: pagePolicy.join('; ') },
    },
  ],
}

export default defineConfig({
  root: fileURLToPath(new URL('.', import.meta.url)),
  base: './',
  plugins: [contentSecurityPolicy],
  // The runtime's own script stays a file of its own: its threads start from it.
  resolve: { conditions: ['onnxruntime-web-use-extern-wasm', ...defaultClientConditions] },
  build: {
    outDir: fileURLToPath(new URL('../dist/playground', import.meta.url)),
    emptyOutDir: true,
    target: 'es2022',
    assetsInlineLimit: 0,
    reportCompressedSize: false,
  },
  worker: { format: 'es' },
  // What threads need, as `sherd serve` sends it.
  server: {
    headers: {
      'Cross-Origin-Opener-Policy': 'same-origin',
      'Cross-Origin-Embedder-Policy': 'require-corp',
    },
  },
})
