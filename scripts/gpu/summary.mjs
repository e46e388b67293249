// What pretraining and fine-tuning gave, as a page.
const percent = (x, deviation, seeds) =>
  x === undefined ? '–' : `${(100 * x).toFixed(1)}${seeds > 1 ? ` ± ${(100 * deviation).toFixed(1)}` : ''} %`
const size = (bytes) =>
  bytes == null ? '–' : bytes < 1e6 ? `${(bytes / 1e3).toFixed(0)} kB` : `${(bytes / 1e6).toFixed(1)} MB`
const row = (...cells) => `| ${cells.join(' | ')} |`

export function summary({ date, gpu, device, quick, node, libtorch, stages }) {
  const { pretrain, probe, tune } = stages
  const lines = [`# Pretraining and fine-tuning on CIFAR-10, ${date}`, '']
  lines.push(
    `${gpu ?? device}, LibTorch ${libtorch ?? '–'}, Node.js ${node}.${quick ? ' A rehearsal: its numbers say nothing.' : ''}`,
    '',
  )
  if (pretrain?.steps)
    lines.push(
      `\`sherd pretrain mae-tiny-cifar10\`: ${pretrain.images.toLocaleString('en')} images, ${pretrain.epochs} epochs of batch ${pretrain.batch} (${pretrain.steps.toLocaleString('en')} steps), ` +
        `peak learning rate ${pretrain.peakLearningRate.toPrecision(2)}, images in \`data.cache=${pretrain.cache}\`: ${Math.round(pretrain.trainingSeconds)} s in all, ` +
        `${Math.round(pretrain.imagesPerSecond).toLocaleString('en')} images/s; last loss ${pretrain.loss.toFixed(3)}.`,
      '',
    )
  const rows = []
  const add = (name, labels, each, more = ['–', '–', '–']) =>
    rows.push(row(name, labels, percent(each.top1, each.deviation, each.seeds), String(each.seeds), ...more))
  if (probe?.knn) add(`kNN, ${probe.knn.pooling}, ${probe.knn.setting}`, 'all', probe.knn)
  if (probe?.linear) add(`linear probe, ${probe.linear.pooling}`, 'all', probe.linear)
  if (probe?.fewshot) add(`linear probe, ${probe.fewshot.pooling}`, 'a tenth', probe.fewshot)
  for (const each of tune?.attempts ?? []) {
    const reason = each.notRun ?? each.failed
    if (reason) rows.push(row(each.method, each.labels, reason, '–', '–', '–', '–'))
    else
      add(each.method, each.labels, each, [
        String(each.epochs),
        `${(each.seconds / each.seeds).toFixed(0)} s`,
        size(each.bytes),
      ])
  }
  if (rows.length > 0) {
    const tested = probe?.testImages ?? tune?.attempts?.find(({ testImages }) => testImages)?.testImages
    lines.push(
      row(
        'method',
        'labels',
        `top-1 of ${tested?.toLocaleString('en') ?? 'the'} test images`,
        'seeds',
        'epochs',
        'time of a seed',
        'file',
      ),
      row(...Array(7).fill('---')),
      ...rows,
      '',
      'One learning rate for each, not searched for; ± is the deviation over seeds, which draw other images where there is a tenth. Times are of whole commands.',
      '',
    )
  }
  return lines.join('\n')
}
