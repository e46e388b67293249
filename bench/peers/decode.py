"""Times JPEG decoding and cropping as torchvision with Pillow does it, in rounds like step.py.

    python3 decode.py '{"dir":"photos","size":224,"threads":1}'

Prints {"ready":true,..}. Then each line {"images":n} on standard input decodes n images (cycling through the
folder) and prints {"seconds":..,"images":n}; ends with the input. One process; more threads share its images.
"""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path

import PIL
import torch
import torchvision
from PIL import Image, features
from torchvision import transforms
from torchvision.transforms import InterpolationMode


def main() -> None:
    config: dict = json.loads(sys.argv[1]) if len(sys.argv) == 2 else sys.exit(__doc__)
    files = sorted(p for p in Path(config["dir"]).rglob("*") if p.suffix.lower() in (".jpg", ".jpeg"))
    if not files:
        sys.exit(f"no .jpg or .jpeg files in {config['dir']}")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    prepare = transforms.Compose([
        transforms.RandomResizedCrop(
            config["size"], scale=(0.2, 1), ratio=(3 / 4, 4 / 3), interpolation=InterpolationMode.BICUBIC
        ),
        transforms.RandomHorizontalFlip(),
        transforms.PILToTensor(),
    ])

    def load(path: Path) -> torch.Tensor:
        with Image.open(path) as image:
            return prepare(image.convert("RGB"))

    threads = config.get("threads", 1)
    pool = ThreadPoolExecutor(threads)
    run = pool.map if threads > 1 else map
    queue = cycle(files)
    list(run(load, files[:8]))  # warm-up
    print(
        json.dumps({
            "ready": True,
            "torchvision": torchvision.__version__,
            "pillow": PIL.__version__,
            "libjpegTurbo": features.version_feature("libjpeg_turbo"),
            "files": len(files),
        }),
        flush=True,
    )

    for line in sys.stdin:
        count = json.loads(line)["images"]
        start = time.perf_counter()
        for image in run(load, islice(queue, count)):
            assert image.shape == (3, config["size"], config["size"])
        seconds = time.perf_counter() - start
        print(json.dumps({"seconds": seconds, "images": count}), flush=True)


if __name__ == "__main__":
    main()
