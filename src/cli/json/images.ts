/** What the commands for images, features and indexes print. */
import {
  choice,
  count,
  group,
  kind,
  list,
  number,
  orNull,
  path,
  perhaps,
  precision,
  skipped,
  text,
  texts,
  truth,
} from './fields.ts'

const index = path('folder of the index')
const isExact = truth('whether all vectors were compared')
const sheet = orNull(path('contact sheet; null without --out'))
const csv = orNull(path('table; null without --csv'))
const file = text('path below the folder of the images')
const similarity = number('cosine similarity, −1 to 1')
const images = count('images')

export const ofImages = {
  features: kind('Features were written.', ['embed'], {
    files: texts('what was written; absolute paths'),
    images,
    width: count('numbers of an image'),
    precision,
    skipped,
  }),
  predictions: kind('Classes were predicted.', ['classify'], {
    file: path('what was written'),
    images,
    skipped,
    precision,
    labelled: perhaps(count('images in folders with the names of classes')),
    top1: perhaps(number('share of these whose class was named')),
  }),
  masks: kind('Masks were predicted.', ['segment'], {
    files: texts('what was written'),
    images,
    precision,
    skipped,
  }),
  index: kind('An index was made or brought up to date.', ['index'], {
    index,
    images,
    width: count('numbers of an image'),
    precision: orNull(precision),
    embedded: count('images that were embedded now'),
    removed: count('images that are no longer there'),
    skipped,
    search: group(
      {
        kind: choice(['exact', 'approximate'], 'whether a search compares all vectors'),
        recall: perhaps(number('share of the ten nearest that an approximate search finds')),
        expansionSearch: perhaps(count('candidates of an approximate search')),
      },
      'how it is searched',
    ),
  }),
  search: kind('The nearest images to each query.', ['search'], {
    index,
    isExact,
    precision: orNull(text('of queries that are not in the index; null where all are')),
    results: list(
      {
        query: text('as it was given'),
        isInIndex: truth('whether the index has it'),
        found: list({ file, similarity }, 'nearest first'),
      },
      'each query',
    ),
    sheet,
  }),
  duplicates: kind('Groups of images that are nearly the same.', ['duplicates'], {
    index,
    isExact,
    threshold: number('cosine similarity from which two images are near-duplicates'),
    groups: list(
      {
        least: number('similarity of the least similar pair'),
        most: number('similarity of the most similar pair'),
        images: list(
          {
            row: count('row of the index'),
            file,
            width: orNull(count('pixels; null if it cannot be read')),
            height: orNull(count('pixels; null if it cannot be read')),
            bytes: orNull(count('length of the file; null if it cannot be read')),
            link: orNull(
              group(
                {
                  to: text('name that counts, or the target'),
                  kind: choice(['symbolic', 'hard'], 'sort of link'),
                },
                'set if the file is a link',
              ),
            ),
            keep: truth('the one to keep'),
          },
          'the images',
        ),
      },
      'each group',
    ),
    pairs: count('pairs of near-duplicates'),
    linkedFolders: list(
      { link: text('path below the folder of the images'), target: path('the folder') },
      'links to folders that the index already has',
    ),
    isComplete: truth('whether every pair was found'),
    nearest: list(
      { share: number('share of the images, 0 to 1'), similarity },
      'quantiles of the similarity of each image to its nearest other',
    ),
    others: list(
      { threshold: number('another threshold'), images: count('images in groups at it') },
      'other thresholds',
    ),
    crowding: orNull(
      group(
        {
          largest: count('images in the largest group'),
          density: number('share of the pairs in it that are so similar'),
          ofAll: number('share of all pairs that are so similar'),
          better: orNull(number('a threshold that tells copies apart; null if none does')),
          model: orNull(text('what is known of a model that was hardly trained')),
          identical: orNull(list({ files: texts('with the same bytes') }, 'groups of such files')),
        },
        'set if the threshold does not tell copies from images that are merely alike',
      ),
    ),
    sheet,
    csv,
  }),
  outliers: kind('The images that are least like others.', ['outliers'], {
    index,
    isExact,
    neighbours: count('neighbours whose mean distance is the score'),
    outliers: list(
      {
        file,
        score: number('mean cosine distance, 0 to 2'),
        farthest: number('distance to the last of these neighbours'),
      },
      'farthest first',
    ),
    sheet,
    csv,
  }),
  clusters: kind('Groups of images that are alike.', ['clusters'], {
    index,
    clusters: list(
      {
        images,
        label: orNull(
          group(
            { name: text('commonest folder'), share: number('its share of the images') },
            'null where images have no folders',
          ),
        ),
      },
      'each cluster, largest first',
    ),
    silhouette: orNull(number('1: clusters lie well apart; 0: they touch; null for one cluster')),
    agreement: orNull(
      group(
        {
          nmi: number('normalised mutual information, 0 to 1'),
          purity: number('accuracy if each cluster took its commonest folder'),
        },
        'with the folders; null where images have none',
      ),
    ),
    inertia: number('sum of squared distances to the centroids'),
    sampled: count('images that the centroids were learned from'),
    assigned: list({ file, cluster: count('number of its cluster') }, 'each image'),
    sheet,
    csv,
  }),
  pack: kind('Images were packed.', ['pack'], {
    dir: path('folder of the pack'),
    images,
    classes: count('classes'),
    bytes: count('bytes of pixels'),
    skipped,
  }),
  'pack-check': kind('A pack is as its manifest says (--check).', ['pack'], {
    dir: path('folder of the pack'),
    images,
    classes: count('classes'),
    files: count('files whose hash was compared'),
  }),
  'sample-data': kind('Sample images were written.', ['sample-data'], {
    dir: path('the folder'),
    count: count('images, or places'),
    classes: texts('names of the classes'),
  }),
} as const
