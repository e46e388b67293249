"""Writes what transformers makes of image files with SigLIP 2 (NaFlex): test/reference/naflex.json.

    PYTHON scripts/reference/make_naflex.py SHARED

PYTHON is one of an environment of its own with torch, torchvision, transformers and Pillow. SHARED holds `cases/` and
`reference/layouts/siglip2-naflex`. The files are four of `cases/`, and PNG of whole-number formulas, which the test writes for itself
(test/weights/naflex-pictures.ts). For each budget of patches and file: the grid; `feature`, the pooled output of the model by the
processor that users get (torchvision), with padding and mask; `pixels`, a checksum of the bytes [H, W, 3] that Pillow resizes, widths first
(as all versions before 13; since then heights come first where that is less work, and a grey level may differ); `pillow`, the output for these.
"""

import hashlib
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import PIL
import torch
import torchvision
import transformers
from PIL import Image
from transformers import AutoImageProcessor, Siglip2VisionModel
from transformers.image_utils import load_image

SHARED = Path(sys.argv[1])
FOLDER = SHARED / "reference/layouts/siglip2-naflex"
OUT = Path(__file__).resolve().parents[2] / "test/reference/naflex.json"
REAL = [
    *("images/plain.jpg", "images/orientation/png-rawprofile-6.png"),
    *("images/bmp-named-jpg.jpg", "px32/0.png"),
]
# Width and height.
MADE = {"wide": (300, 100), "tall": (90, 270), "square": (150, 150), "tiny": (11, 9), "ribbon": (640, 8), "large": (2400, 1700)}
BUDGETS = [24, 60]


def picture(width: int, height: int) -> np.ndarray:
    """As pictureOf in test/weights/naflex-pictures.ts."""
    y, x = np.mgrid[:height, :width]
    wave = lambda u: np.where((u & 511) < 256, u & 255, 255 - (u & 255))
    planes = [(wave((x * y) >> (4 + c)) + wave(x * (3 + c) + y * (5 - c))) >> 1 for c in range(3)]
    return np.stack(planes, -1).astype(np.uint8)


@torch.no_grad()
def numbers(model, processor, image: Image.Image, most: int):
    inputs = processor(images=image, max_num_patches=most, return_tensors="pt")
    assert inputs["pixel_values"].shape[1] == most
    return inputs, model(**inputs).pooler_output[0]


def bytes_of(inputs, P: int) -> np.ndarray:
    h, w = inputs["spatial_shapes"][0].tolist()
    patches = inputs["pixel_values"][0, : h * w].reshape(h, w, P, P, 3).permute(0, 2, 1, 3, 4)
    values = (patches.reshape(h * P, w * P, 3) * 0.5 + 0.5) * 255
    assert (values - values.round()).abs().max() < 1e-3
    return values.round().to(torch.uint8).numpy()


def main() -> None:
    model = Siglip2VisionModel.from_pretrained(FOLDER).eval()
    usual = AutoImageProcessor.from_pretrained(FOLDER)
    pillow = AutoImageProcessor.from_pretrained(FOLDER, backend="pil")
    assert type(usual) is not type(pillow)
    P = usual.patch_size
    work = Path(tempfile.mkdtemp())
    paths = {name: SHARED / "cases" / name for name in REAL}
    for name, size in MADE.items():
        paths[name] = work / f"{name}.png"
        Image.fromarray(picture(*size)).save(paths[name], compress_level=1)
    found = {}
    for most in BUDGETS:
        for name, path in paths.items():
            image = load_image(str(path)).convert("RGB")
            usual_inputs, feature = numbers(model, usual, image, most)
            h, w = usual_inputs["spatial_shapes"][0].tolist()
            widths = image.resize((w * P, image.height), Image.Resampling.BILINEAR)
            inputs, of_pillow = numbers(model, pillow, widths.resize((w * P, h * P), Image.Resampling.BILINEAR), most)
            assert inputs["spatial_shapes"][0].tolist() == [h, w]
            values = bytes_of(inputs, P)
            assert abs(values.astype(int) - bytes_of(numbers(model, pillow, image, most)[0], P)).max() <= 1
            pixels = hashlib.sha256(values.tobytes()).hexdigest()[:12]
            short = lambda x: [round(value, 5) for value in x.tolist()]
            cosine = torch.nn.functional.cosine_similarity(feature, of_pillow, 0).item()
            print(most, name, [h, w], f"torchvision against Pillow {cosine:.7f}")
            found.setdefault(name, {})[most] = {
                **{"grid": [h, w], "pixels": pixels, "feature": short(feature), "pillow": short(of_pillow)},
            }
    versions = {m.__name__: m.__version__ for m in (transformers, torch, torchvision, PIL)}
    rows = ",\n".join(f"  {json.dumps(name)}: {json.dumps(row)}" for name, row in found.items())
    sizes = json.dumps(MADE)
    OUT.write_text(f'{{\n "versions": {json.dumps(versions)},\n "made": {sizes},\n "files": {{\n{rows}\n }}\n}}\n')


main()
