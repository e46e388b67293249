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

# Spectral groups: bands in another order than the images', one band that no group has, groups of different sizes.
SATMAE = {
    "satmae-independent-group": {
        "imageSize": [8, 12], "patchSize": 4, "channels": 6,
        "width": 24, "depth": 2, "heads": 3,
        "decoderWidth": 16, "decoderDepth": 1, "decoderHeads": 2,
        "mlpRatio": 4, "maskRatio": 0.6, "normalizeTarget": True,
        "spectral": {
            "groups": [[4, 0, 2], [1], [5]], "groupWidth": 8, "decoderGroupWidth": 4,
            "isConsistent": False, "statistics": "group",
        },
    },
    "satmae-consistent-band": {
        "imageSize": [8, 8], "patchSize": 4, "channels": 4,
        "width": 16, "depth": 1, "heads": 2,
        "decoderWidth": 16, "decoderDepth": 1, "decoderHeads": 2,
        "mlpRatio": 4, "maskRatio": 0.5, "normalizeTarget": True,
        "spectral": {
            "groups": [[3, 1], [0, 2]], "groupWidth": 4, "decoderGroupWidth": 8,
            "isConsistent": True, "statistics": "band",
        },
    },
    "satmae-all": {
        "imageSize": [8, 8], "patchSize": 4, "channels": 3,
        "width": 16, "depth": 1, "heads": 2,
        "decoderWidth": 12, "decoderDepth": 1, "decoderHeads": 2,
        "mlpRatio": 4, "maskRatio": 0.5, "normalizeTarget": True,
        "spectral": {
            "groups": [[2], [0, 1]], "groupWidth": 4, "decoderGroupWidth": 4,
            "isConsistent": False, "statistics": "all",
        },
    },
}  # fmt: skip

# A larger epsilon than usual shows that it is read, and damps what Adam makes of rounding noise.
OPTIMIZERS = {"mae-wide-1ch": {"epsilon": 1e-6}, "mae-4ch-raw": {"epsilon": 1e-6}}


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for seed, (name, config) in enumerate(FILES.items(), start=1):
        path = FOLDER / f"{name}.safetensors"
        write_reference(config, path, seed, optimizer=OPTIMIZERS.get(name))
        print(f"{path.relative_to(FOLDER.parents[1])}  {path.stat().st_size:,} bytes")
    for seed, (name, config) in enumerate(SATMAE.items(), start=11):
        path = FOLDER / f"{name}.safetensors"
        satmae_reference.write_reference(config, path, seed, optimizer={"epsilon": 1e-6})
        print(f"{path.relative_to(FOLDER.parents[1])}  {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
