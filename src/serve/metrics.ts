/** Metrics in the text format of Prometheus. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

export interface Metrics {
  readonly contentType: string
  text(): Promise<string>
  answered(request: { route: string; status: number; seconds: number }): void
  refused(reason: string): void
  /** Images that got a result. */
  images(route: string, count: number): void
  batch(graph: string, samples: number): void
  /** `value` is called for every scrape. */
  gauge(name: string, help: string, value: () => number): void
}

const secondsBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
const batchBuckets = [1, 2, 4, 8, 16, 32, 64, 128]

/** `queues`: the number of images queued for each graph, called for every scrape. */
export function serverMetrics(queues: () => Readonly<Record<string, number>>): Metrics {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry })
  const requests = new Counter({
    ...{ name: 'sherd_requests_total', help: 'Requests answered', registers },
    labelNames: ['route', 'status'],
  })
  const seconds = new Histogram({
    ...{ name: 'sherd_request_seconds', help: 'From the head of a request to its answer', registers },
    ...{ labelNames: ['route'], buckets: secondsBuckets },
  })
  const refusals = new Counter({
    ...{ name: 'sherd_refused_total', help: 'Requests and images that got no result', registers },
    labelNames: ['reason'],
  })
  const images = new Counter({
    ...{ name: 'sherd_images_total', help: 'Images that got a result', registers },
    labelNames: ['route'],
  })
  const batches = new Histogram({
    ...{ name: 'sherd_batch_images', help: 'Images computed together', registers },
    ...{ labelNames: ['graph'], buckets: batchBuckets },
  })
  new Gauge({
    ...{ name: 'sherd_queue_images', help: 'Images that wait to be computed', registers },
    labelNames: ['graph'],
    collect() {
      for (const [graph, count] of Object.entries(queues())) this.set({ graph }, count)
    },
  })
  return {
    contentType: registry.contentType,
    text: () => registry.metrics(),
    answered({ route, status, seconds: took }) {
      requests.inc({ route, status })
      seconds.observe({ route }, took)
    },
    refused: (reason) => refusals.inc({ reason }),
    images: (route, count) => images.inc({ route }, count),
    batch: (graph, samples) => batches.observe({ graph }, samples),
    gauge(name, help, value) {
      new Gauge({
        ...{ name, help, registers },
        collect() {
          this.set(value())
        },
      })
    },
  }
}
