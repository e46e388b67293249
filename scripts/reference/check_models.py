"""Compares the figures of `sherd models` with timm's built-in configurations: parameters, patch, pixels, statistics, licence.

    node dist/src/cli/bin.cjs models --json > models.json
    python scripts/reference/check_models.py models.json

Needs timm; downloads nothing. What differs for a reason that is known is listed with it, and anything else ends with status 1.
"""
import json
import sys

import timm
import torch
from timm.models import get_pretrained_cfg

# timm keeps weights of its own copy: its pages and its evaluation differ.
REASONS = {
    "size": "timm evaluates it at another size than its authors",
    "licence": "timm's page says another licence than the authors' code or page",
    "statistics": "timm normalises it in another way than the folder on the hub",
}
EXPECTED = {
    # DINOv2's positions are of 518 pixels, and its authors evaluate at 224; timm takes 518. DINOv3: timm 256. NaFlex: 256 patches of 16 in its folder, 576 in timm.
    "size": {"DINOv2", "DINOv2 with registers", "DINOv3", "DINOv3 of satellite images", "SigLIP 2"},
    # OpenAI's and LAION's pages say MIT.
    "licence": {"CLIP", "OpenCLIP"},
    "statistics": set(),
}


def expected_of(name: str, model: dict) -> int:
    """Parameters of timm's module without classes, as sherd has them: the position of cls is added to cls when weights are read, and
    CLIP's projection is a part of the encoder."""
    with torch.device("meta"):
        module = timm.create_model(name, num_classes=0)
    count = sum(p.numel() for p in module.parameters())
    width = module.embed_dim
    table = getattr(module, "pos_embed", None)
    if table is not None and getattr(module, "cls_token", None) is not None and not module.no_embed_class:
        count -= width
    if model["feature"] == "pooled" and model["width"] != width:
        count += width * model["width"]
    return count


def main(path: str) -> int:
    wrong = 0
    for model in json.load(open(path))["models"]:
        name = model["timm"]
        if name is None:
            continue
        config = get_pretrained_cfg(name)
        theirs, ours = expected_of(name, model), model["parameters"]
        patch = model["patchSize"]
        rows = []
        if theirs != ours:
            rows.append(("parameters", theirs, ours, f"{theirs - ours:+d}"))
        size = config.input_size[-1]
        if size // patch * patch != model["imageSize"][0]:
            rows.append(("size", size, model["imageSize"][0], ""))
        if any(abs(a - b) > 1e-6 for a, b in zip(config.mean + config.std, model["mean"] + model["std"])):
            rows.append(("statistics", config.mean + config.std, model["mean"] + model["std"], ""))
        if config.license not in (model["licence"], model["pageLicence"]):
            rows.append(("licence", config.license, model["licence"], ""))
        for what, a, b, more in rows:
            isKnown = model["family"] in EXPECTED.get(what, set())
            print(f"{model['name']:28} {what:12} timm {a}, here {b} {more}{' (known)' if isKnown else ''}")
            wrong += not isKnown
    print(f"{wrong} differences that are not known, timm {timm.__version__}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
