"""Writes test/prepare/augment/augment-reference.json: what Pillow makes of one small image with each operation of RandAugment.

Run: python3 scripts/reference/make_augment.py
"""
import json
import os

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

W, H = 11, 9
FILL = (124, 116, 104)
rng = np.random.default_rng(0)
smooth = np.add.outer(np.arange(H) * 12, np.arange(W) * 9)[..., None] + np.array([10, 40, 70])
array = np.clip(smooth + rng.integers(-25, 25, (H, W, 3)), 20, 235).astype(np.uint8)
image = Image.fromarray(array)


def affine(*matrix):
    return image.transform(image.size, Image.AFFINE, matrix, resample=Image.BILINEAR, fillcolor=FILL)


def solarize_add(add):
    return image.point([min(255, i + add) if i < 128 else i for i in range(256)] * 3)


cases = {
    "autoContrast": [(0, ImageOps.autocontrast(image))],
    "equalize": [(0, ImageOps.equalize(Image.fromarray(np.tile(array, (8, 8, 1)))))],
    "invert": [(0, ImageOps.invert(image))],
    "rotate": [(d, image.rotate(d, resample=Image.BILINEAR, fillcolor=FILL)) for d in (27, -13.5)],
    "posterize": [(b, ImageOps.posterize(image, b)) for b in (1, 3)],
    "solarize": [(t, ImageOps.solarize(image, t)) for t in (26, 128)],
    "solarizeAdd": [(a, solarize_add(a)) for a in (99, 128)],
    "colour": [(f, ImageEnhance.Color(image).enhance(f)) for f in (0.19, 1.81)],
    "contrast": [(f, ImageEnhance.Contrast(image).enhance(f)) for f in (0.19, 1.81)],
    "brightness": [(f, ImageEnhance.Brightness(image).enhance(f)) for f in (0.19, 1.81)],
    "sharpness": [(f, ImageEnhance.Sharpness(image).enhance(f)) for f in (0.19, 1.81)],
    "shearX": [(s, affine(1, s, 0, 0, 1, 0)) for s in (0.27, -0.2)],
    "shearY": [(s, affine(1, 0, 0, s, 1, 0)) for s in (0.27, -0.2)],
    "translateX": [(s, affine(1, 0, s * W, 0, 1, 0)) for s in (0.4, -0.21)],
    "translateY": [(s, affine(1, 0, 0, 0, 1, s * H)) for s in (0.4, -0.21)],
}
reference = {
    "width": W,
    "height": H,
    "fill": FILL,
    "pixels": array.flatten().tolist(),
    "cases": {
        name: [{"by": by, "pixels": np.asarray(result).flatten().tolist()} for by, result in results]
        for name, results in cases.items()
    },
}
# equalize does nothing to fewer than 256 pixels, so it gets the image eight times in each direction, and one tile is kept
tiled = np.asarray(cases["equalize"][0][1])[:H, :W]
reference["cases"]["equalize"][0]["pixels"] = tiled.flatten().tolist()
path = os.path.join(os.path.dirname(__file__), "..", "..", "test", "prepare", "augment", "augment-reference.json")
with open(path, "w") as file:
    json.dump(reference, file)
    file.write("\n")
