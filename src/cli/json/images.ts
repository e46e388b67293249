/** What the commands for images, features and indexes print. */
import * as f from './fields.ts'

const index = f.path('folder of the index')
const isExact = f.truth('whether all vectors were compared')
const sheet = f.orNull(f.path('contact sheet; null without --out'))
const csv = f.orNull(f.path('table; null without --csv'))
const file = f.text('path below the folder of the images')
const similarity = f.number('cosine similarity, −1 to 1')
const images = f.count('images')
const place = { row: f.count('counted from 0'), column: f.count('counted from 0') }

export const ofImages = {
  features: f.kind('Features were written.', ['embed'], {
    files: f.texts('what was written; absolute paths'),
    images,
    width: f.count('numbers of a vector of the first feature'),
    features: f.list(
      {
        name: f.text('cls, mean, cls+mean, pooled, patches or layer:K'),
        width: f.count('numbers of a vector'),
        tokens: f.count('vectors of an image; 1, but for patches'),
      },
      'what was written',
    ),
    precision: f.precision,
    skipped: f.skipped,
  }),
  predictions: f.kind('Classes were predicted.', ['classify'], {
    file: f.path('what was written'),
    images,
    skipped: f.skipped,
    precision: f.precision,
    labelled: f.perhaps(f.count('images in folders with the names of classes')),
    top1: f.perhaps(f.number('share of these whose class was named')),
  }),
  codes: f.kind('Codes were written.', ['tokenize'], {
    files: f.texts('what was written; absolute paths'),
    images,
    grid: f.counts('rows and columns of patches'),
    codes: f.count('entries of the codebook'),
    used: f.count('codes that a patch has'),
    perplexity: f.number('exp of the entropy of their shares: the number of codes, were they used alike'),
    precision: f.precision,
    skipped: f.skipped,
  }),
  masks: f.kind('Masks were predicted.', ['segment'], {
    files: f.texts('what was written'),
    images,
    precision: f.precision,
    skipped: f.skipped,
  }),
  look: f.kind('What an encoder sees was drawn.', ['look'], {
    files: f.texts('what was written; absolute paths'),
    images,
    grid: f.counts('rows and columns of patches'),
    heads: f.count('heads of a block'),
    attention: f.group(
      {
        of: f.choice(['cls', 'pooling', 'patches'], 'patches: the mean over them, without a cls token'),
        block: f.orNull(f.count('counted from 0; null for attention pooling')),
      },
      'whose attention is drawn',
    ),
    onPrefix: f.number('mean share of attention that falls on cls tokens and registers'),
    explained: f.numbers('share of the variance of each principal component'),
    patch: f.group({ file, ...place }, 'the patch that others are compared with'),
    nearest: f.orNull(f.group({ file, ...place, similarity }, 'the most similar other patch')),
    precision: f.precision,
  }),
  index: f.kind('An index was made or brought up to date.', ['index'], {
    index,
    images,
    width: f.count('numbers of a vector'),
    feature: f.text('what the vectors are: cls, mean, cls+mean, pooled or layer:K'),
    precision: f.orNull(f.precision),
    embedded: f.count('images that were embedded now'),
    removed: f.count('images that are no longer there'),
    skipped: f.skipped,
    search: f.group(
      {
        kind: f.choice(['exact', 'approximate'], 'whether a search compares all vectors'),
        recall: f.perhaps(f.number('share of the ten nearest that an approximate search finds')),
        expansionSearch: f.perhaps(f.count('candidates of an approximate search')),
      },
      'how it is searched',
    ),
  }),
  search: f.kind('The nearest images to each query.', ['search'], {
    index,
    isExact,
    precision: f.orNull(f.text('of queries that are not in the index; null where all are')),
    results: f.list(
      {
        query: f.text('as it was given'),
        isInIndex: f.truth('whether the index has it'),
        found: f.list({ file, similarity }, 'nearest first'),
      },
      'each query',
    ),
    sheet,
  }),
  duplicates: f.kind('Groups of images that are nearly the same.', ['duplicates'], {
    index,
    isExact,
    threshold: f.number('cosine similarity from which two images are near-duplicates'),
    groups: f.list(
      {
        least: f.number('similarity of the least similar pair'),
        most: f.number('similarity of the most similar pair'),
        images: f.list(
          {
            row: f.count('row of the index'),
            file,
            width: f.orNull(f.count('pixels; null if it cannot be read')),
            height: f.orNull(f.count('pixels; null if it cannot be read')),
            bytes: f.orNull(f.count('length of the file; null if it cannot be read')),
            link: f.orNull(
              f.group(
                {
                  to: f.text('name that counts, or the target'),
                  kind: f.choice(['symbolic', 'hard'], 'sort of link'),
                },
                'set if the file is a link',
              ),
            ),
            keep: f.truth('the one to keep'),
          },
          'the images',
        ),
      },
      'each group',
    ),
    pairs: f.count('pairs of near-duplicates'),
    linkedFolders: f.list(
      { link: f.text('path below the folder of the images'), target: f.path('the folder') },
      'links to folders that the index already has',
    ),
    isComplete: f.truth('whether every pair was found'),
    nearest: f.list(
      { share: f.number('share of the images, 0 to 1'), similarity },
      'quantiles of the similarity of each image to its nearest other',
    ),
    others: f.list(
      { threshold: f.number('another threshold'), images: f.count('images in groups at it') },
      'other thresholds',
    ),
    crowding: f.orNull(
      f.group(
        {
          largest: f.count('images in the largest group'),
          density: f.number('share of the pairs in it that are so similar'),
          ofAll: f.number('share of all pairs that are so similar'),
          better: f.orNull(f.number('a threshold that tells copies apart; null if none does')),
          model: f.orNull(f.text('what is known of a model that was hardly trained')),
          identical: f.orNull(f.list({ files: f.texts('with the same bytes') }, 'groups of such files')),
        },
        'set if the threshold does not tell copies from images that are merely alike',
      ),
    ),
    sheet,
    csv,
  }),
  outliers: f.kind('The images that are least like others.', ['outliers'], {
    index,
    isExact,
    neighbours: f.count('neighbours whose mean distance is the score'),
    outliers: f.list(
      {
        file,
        score: f.number('mean cosine distance, 0 to 2'),
        farthest: f.number('distance to the last of these neighbours'),
      },
      'farthest first',
    ),
    sheet,
    csv,
  }),
  clusters: f.kind('Groups of images that are alike.', ['clusters'], {
    index,
    clusters: f.list(
      {
        images,
        label: f.orNull(
          f.group(
            { name: f.text('commonest folder'), share: f.number('its share of the images') },
            'null where images have no folders',
          ),
        ),
      },
      'each cluster, largest first',
    ),
    silhouette: f.orNull(f.number('1: clusters lie well apart; 0: they touch; null for one cluster')),
    agreement: f.orNull(
      f.group(
        {
          nmi: f.number('normalised mutual information, 0 to 1'),
          purity: f.number('accuracy if each cluster took its commonest folder'),
        },
        'with the folders; null where images have none',
      ),
    ),
    inertia: f.number('sum of squared distances to the centroids'),
    sampled: f.count('images that the centroids were learned from'),
    assigned: f.list({ file, cluster: f.count('number of its cluster') }, 'each image'),
    sheet,
    csv,
  }),
  pack: f.kind('Images were packed.', ['pack'], {
    dir: f.path('folder of the pack'),
    images,
    classes: f.count('classes'),
    bytes: f.count('bytes of pixels'),
    skipped: f.skipped,
  }),
  'pack-check': f.kind('A pack is as its manifest says (--check).', ['pack'], {
    dir: f.path('folder of the pack'),
    images,
    classes: f.count('classes'),
    files: f.count('files whose hash was compared'),
  }),
  'sample-data': f.kind('Sample images were written.', ['sample-data'], {
    dir: f.path('the folder'),
    count: f.count('images, or places'),
    classes: f.texts('names of the classes'),
  }),
} as const
