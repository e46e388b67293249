"""Compares image files as sherd prepares them for imported encoders with what Pillow makes of them.

    python3 scripts/reference/check_preprocessing.py [FOLDER]

Needs numpy and Pillow, and a built sherd (npm run build). Writes pictures and Pillow's samples to FOLDER: EXIF rotation, convert("RGB"), the shorter side to 64
(bicubic), the centre cut out. Prints how far sherd's bytes with data.resize=shortest and data.colours=stored are from them.
"""
import glob
import os
import subprocess
import sys
import tempfile

import numpy as np
from PIL import Image, ImageCms, ImageOps
import PIL

SIDE = 64
draw = np.random.default_rng(0)


def smooth(height, width, channels):
    coarse = draw.integers(0, 256, (height // 8 + 2, width // 8 + 2, channels), dtype=np.uint8)
    planes = [np.asarray(Image.fromarray(coarse[..., c]).resize((width, height), 3)) for c in range(channels)]
    return np.stack(planes, -1)


def write(folder):
    turned = Image.Exif()
    turned[0x112] = 6
    at = lambda name: os.path.join(folder, name)
    Image.fromarray(smooth(100, 300, 3)).save(at("wide.jpg"), quality=92)
    Image.fromarray(smooth(300, 100, 3)).save(at("tall.jpg"), quality=92)
    Image.fromarray(smooth(200, 120, 3)).save(at("rotated.jpg"), quality=92, exif=turned)
    Image.fromarray(smooth(120, 160, 4), "RGBA").save(at("rgba.png"))
    Image.fromarray(smooth(120, 160, 2), "LA").save(at("grey-alpha.png"))
    Image.fromarray(smooth(120, 160, 3)).quantize(64).save(at("palette.png"), transparency=3)
    Image.fromarray(smooth(120, 160, 1)[..., 0]).save(at("grey.jpg"), quality=92)
    Image.fromarray(smooth(120, 160, 4), "CMYK").save(at("cmyk.jpg"), quality=92)
    Image.fromarray(smooth(120, 160, 4), "CMYK").save(at("cmyk.tif"))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(smooth(120, 160, 3)).save(at("profile.png"), icc_profile=profile)
    Image.fromarray(smooth(3300, 4000, 3)).save(at("large.jpg"), quality=90)
    Image.fromarray(smooth(120, 160, 1)[..., 0].astype(np.uint16) * 257).save(at("wide16.png"))


def reference(path):
    image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    width, height = image.size
    size = (SIDE, int(SIDE * height / width)) if width <= height else (int(SIDE * width / height), SIDE)
    left, top = (size[0] - SIDE) // 2, (size[1] - SIDE) // 2
    return np.asarray(image.resize(size, Image.Resampling.BICUBIC).crop((left, top, left + SIDE, top + SIDE)))


PROGRAM = """
const [root, ...files] = process.argv.slice(1)
const { tryDecodeImage } = await import(root + '/dist/src/prepare/decode/decode.js')
const { fitted } = await import(root + '/dist/src/prepare/fit.js')
const target = { width: 64, height: 64 }
const fitting = { resize: 'shortest', cropShare: 1, cutRule: 'before', isExact: false }
for (const file of files) {
  const out = new Uint8Array(64 * 64 * 3)
  const place = (image) => ({ ...fitted(image, target, fitting), flip: false })
  const limits = { channels: 3, minSide: 8, maxPixels: 1e8, rules: { colours: 'stored' } }
  const reason = await tryDecodeImage(file, { target, ...limits, place }, out)
  if (reason !== null) throw new Error(file + ': ' + reason)
  process.stdout.write(out)
}
"""


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp()
    os.makedirs(folder, exist_ok=True)
    write(folder)
    files = sorted(glob.glob(os.path.join(folder, "*.*")))
    root = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
    command = ["node", "--input-type=module", "-e", PROGRAM, root, *map(os.path.abspath, files)]
    bytes_ = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    made = np.frombuffer(bytes_, np.uint8).reshape(len(files), SIDE, SIDE, 3).astype(float)
    print("Pillow", PIL.__version__)
    for path, ours in zip(files, made):
        apart = np.abs(ours - reference(path))
        print(f"{os.path.basename(path)}: largest {apart.max():.0f}, mean {apart.mean():.3f}")


main()
