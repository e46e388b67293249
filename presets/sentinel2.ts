/** The bands of Sentinel-2 as SatMAE groups them. B1, B9 and B10 (60 m, for the atmosphere) are left out. */
export const sentinelGroups = [
  ['B2', 'B3', 'B4', 'B8'], // blue, green, red, near infrared: 10 m
  ['B5', 'B6', 'B7', 'B8A'], // red edge: 20 m
  ['B11', 'B12'], // short-wave infrared: 20 m
]

export const sentinelBands = ['B2', 'B3', 'B4', 'B5', 'B6', 'B7', 'B8', 'B8A', 'B11', 'B12']
