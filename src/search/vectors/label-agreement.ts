/** Agreement of clusters and labels. */

export interface Agreement {
  /** Normalised mutual information, 2 I / (H(clusters) + H(labels)), 0 to 1; 1 if both entropies are 0. */
  readonly nmi: number
  /** Accuracy if each cluster took its most frequent label; grows with the number of clusters. */
  readonly purity: number
}

export function agreementOf(clusters: ArrayLike<number>, labels: ArrayLike<number>): Agreement {
  const n = clusters.length
  const [inCluster, inLabel] = [new Map<number, number>(), new Map<number, number>()]
  const joint = new Map<number, Map<number, number>>()
  const count = (map: Map<number, number>, key: number) => map.set(key, (map.get(key) ?? 0) + 1)
  for (let i = 0; i < n; i++) {
    const [cluster, label] = [clusters[i]!, labels[i]!]
    count(inCluster, cluster)
    count(inLabel, label)
    joint.set(cluster, count(joint.get(cluster) ?? new Map<number, number>(), label))
  }
  const entropy = (counts: Map<number, number>) =>
    [...counts.values()].reduce((sum, c) => sum - (c / n) * Math.log(c / n), 0)
  let [information, right] = [0, 0]
  for (const [cluster, counts] of joint) {
    right += Math.max(...counts.values())
    for (const [label, c] of counts)
      information += (c / n) * Math.log((c * n) / (inCluster.get(cluster)! * inLabel.get(label)!))
  }
  const both = entropy(inCluster) + entropy(inLabel)
  return { nmi: both === 0 ? 1 : Math.max(0, (2 * information) / both), purity: right / n }
}
