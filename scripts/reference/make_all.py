"""Writes the reference files that the tests read, into test/reference/."""

from pathlib import Path

import satmae_reference
from mae_reference import write_reference

FOLDER = Path(__file__).resolve().parents[2] / "test" / "reference"

# Each differs from the usual model in what an implementation is most likely to have assumed.
FILES = {
    # One channel, an image wider than high, a kept count that is not a quarter.
    "mae-wide-1ch": {
        "imageSize": [12, 20], "patchSize": 4, "channels": 1,
        "width": 24, "depth": 2, "heads": 3,
        "decoderWidth": 16, "decoderDepth": 1, "decoderHeads": 2,
        "mlpRatio": 4, "maskRatio": 0.6, "normalizeTarget": True,
    },
    # Four channels, raw pixels as the target, a narrow MLP, a kept count that is rounded down (4.8 to 4).
    "mae-4ch-raw": {
        "imageSize": [8, 8], "patchSize": 2, "channels": 4,
        "width": 32, "depth": 2, "heads": 4,
        "decoderWidth": 20, "decoderDepth": 1, "decoderHeads": 2,
        "mlpRatio": 2, "maskRatio": 0.7, "normalizeTarget": False,
    },
    # Large patches, few tokens, another LayerNorm epsilon, a decoder deeper than the encoder.
    "mae-patch14-epsilon": {
        "imageSize": [28, 28], "patchSize": 14, "channels": 3,
        "width": 16, "depth": 1, "heads": 2,
        "decoderWidth": 12, "decoderDepth": 2, "decoderHeads": 3,
        "mlpRatio": 4, "maskRatio": 0.5, "normalizeTarget": True, "layerNormEpsilon": 1e-5,
    },
}  # fmt: skip

# Bands in groups, several dates, positions in metres, finer scales. The second member says what the input has of its own.
SATMAE = {
    # Groups in another order than the bands and of different sizes, a band (3) that no group has, a grid wider than high.
    "satmae-independent-group": (
        {
            "imageSize": [8, 12], "patchSize": 4, "channels": 6,
            "width": 16, "depth": 1, "heads": 2,
            "decoderWidth": 12, "decoderDepth": 1, "decoderHeads": 3,
            "mlpRatio": 1, "maskRatio": 0.6, "normalizeTarget": True, "statistics": "group",
            "groups": [[4, 0, 2], [1], [5]], "groupWidth": 4, "decoderGroupWidth": 4,
        },
        {},
    ),
    # The same places hidden in all groups, so that fewer are kept than floor(N * 0.3) = 3. A pixel has no data.
    "satmae-consistent-band": (
        {
            "imageSize": [8, 12], "patchSize": 4, "channels": 4,
            "width": 16, "depth": 1, "heads": 2,
            "decoderWidth": 12, "decoderDepth": 1, "decoderHeads": 2,
            "mlpRatio": 2, "maskRatio": 0.7, "kept": 2, "normalizeTarget": True, "statistics": "band",
            "groups": [[3, 1], [0, 2]], "groupWidth": 4, "decoderGroupWidth": 8,
        },
        {"consistent": True, "noData": [[1, 0, 2, [5, 6], [1, 3]]]},
    ),
    # Statistics over all bands, also over the one (1) that no group has; it alone has no data in some pixels.
    "satmae-all": (
        {
            "imageSize": [8, 8], "patchSize": 4, "channels": 4,
            "width": 16, "depth": 1, "heads": 2,
            "decoderWidth": 12, "decoderDepth": 1, "decoderHeads": 2,
            "mlpRatio": 2, "maskRatio": 0.5, "normalizeTarget": True, "statistics": "all",
            "groups": [[3], [0, 2]], "groupWidth": 4, "decoderGroupWidth": 4,
        },
        {"noData": [[0, 0, 1, [0, 3], [2, 5]]]},
    ),
    # No groups and three dates: before 1970, in the last hour of a leap year, unknown.
    "satmae-temporal": (
        {
            "imageSize": [4, 6], "patchSize": 2, "channels": 3,
            "width": 20, "depth": 1, "heads": 2,
            "decoderWidth": 18, "decoderDepth": 1, "decoderHeads": 3,
            "mlpRatio": 1, "maskRatio": 0.75, "normalizeTarget": True,
            "frames": 3, "time": {"fields": ["year", "month", "hour"], "width": 4, "decoderWidth": 2},
        },
        {
            "times": [
                ["1969-07-20T20:17:40+00:00", "2004-12-31T23:59:59+00:00", "2019-03-01T00:00:00+00:00"],
                ["2002-01-01T00:00:00+00:00", None, "2021-11-05T12:30:00+00:00"],
            ],
        },
    ),
    # Two groups of two dates. The second sample has no second date; of the first date one place has no data, one has a
    # single pixel, some have a part, and where only band 0 (in no group) has none all bands count as having none.
    "satmae-both": (
        {
            "imageSize": [4, 6], "patchSize": 2, "channels": 4,
            "width": 20, "depth": 1, "heads": 2,
            "decoderWidth": 16, "decoderDepth": 1, "decoderHeads": 2,
            "mlpRatio": 1, "maskRatio": 0.75, "normalizeTarget": True, "statistics": "group",
            "groups": [[3, 1], [2]], "groupWidth": 4, "decoderGroupWidth": 4,
            "frames": 2, "time": {"fields": ["month", "dayOfYear"], "width": 4, "decoderWidth": 4},
        },
        {
            "times": [
                ["2020-02-29T10:00:00+00:00", "2020-12-31T23:00:00+00:00"],
                ["2017-08-15T05:30:00+00:00", None],
            ],
            "noData": [
                [1, 1, None, [0, 4], [0, 6]],
                [1, 0, 2, [0, 2], [0, 2]],
                [1, 0, None, [0, 1], [4, 6]],
                [1, 0, 3, [1, 2], [4, 5]],
                [0, 1, 0, [1, 3], [4, 5]],
            ],
        },
    ),
    # Positions in units of ten metres, another resolution for each sample.
    "satmae-scale": (
        {
            "imageSize": [8, 12], "patchSize": 4, "channels": 2,
            "width": 16, "depth": 1, "heads": 2,
            "decoderWidth": 12, "decoderDepth": 1, "decoderHeads": 2,
            "mlpRatio": 2, "maskRatio": 0.6, "normalizeTarget": True,
            "referenceResolution": 10,
        },
        {"resolution": [3.7, 25.0]},
    ),
    # The picture also at twice and four times the size, of the bands that some group has.
    "satmae-multiscale": (
        {
            "imageSize": [4, 6], "patchSize": 2, "channels": 4,
            "width": 16, "depth": 1, "heads": 2,
            "decoderWidth": 12, "decoderDepth": 1, "decoderHeads": 2,
            "mlpRatio": 1, "maskRatio": 0.6, "normalizeTarget": False,
            "groups": [[3, 0], [2]], "groupWidth": 4, "decoderGroupWidth": 4,
            "scales": [2, 4], "upscaleWidth": 6,
        },
        {},
    ),
    # What the released SatMAE computes: its heads' bands in the order of the groups are read in the order of the image.
    "satmae-compat": (
        {
            "imageSize": [8, 8], "patchSize": 4, "channels": 5,
            "width": 16, "depth": 1, "heads": 2,
            "decoderWidth": 12, "decoderDepth": 1, "decoderHeads": 2,
            "mlpRatio": 1, "maskRatio": 0.6, "normalizeTarget": True, "statistics": "all",
            "groups": [[1, 4, 0], [3, 2]], "groupWidth": 4, "decoderGroupWidth": 4, "compat": "satmae",
        },
        {},
    ),
}  # fmt: skip

# A larger epsilon than usual shows that it is read, and damps what Adam makes of rounding noise.
OPTIMIZERS = {"mae-wide-1ch": {"epsilon": 1e-6}, "mae-4ch-raw": {"epsilon": 1e-6}}

# A draw that keeps the absolute errors of the finer scales away from their kink, where rounding would turn a gradient over.
SEEDS = {"satmae-multiscale": 21}


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for seed, (name, config) in enumerate(FILES.items(), start=1):
        path = FOLDER / f"{name}.safetensors"
        write_reference(config, path, seed, optimizer=OPTIMIZERS.get(name))
        print(f"{path.relative_to(FOLDER.parents[1])}  {path.stat().st_size:,} bytes")
    for seed, (name, (config, inputs)) in enumerate(SATMAE.items(), start=11):
        path = FOLDER / f"{name}.safetensors"
        seed = SEEDS.get(name, seed)
        satmae_reference.write_reference(config, path, seed, optimizer={"epsilon": 1e-6}, inputs=inputs)
        print(f"{path.relative_to(FOLDER.parents[1])}  {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
