"""Checks imports and exports against the real transformers and timm, where they are installed.

    python3 scripts/reference/check_transformers.py [FOLDER...]

Without folders: the small models of test/fixtures/weights. The libraries load them and must compute what make_layouts.py wrote down
(its forward passes are its own); then sherd imports and exports them (`npm run build` first), and the libraries must load that with
no parameter missing or unexpected and compute the same. With folders of `sherd export huggingface` or `timm`: that they load whole
and compute finite numbers. Exits with 1 if something differs. A library that is not installed is said to be so and not checked.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from mae_reference import read_safetensors

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "test" / "fixtures" / "weights"
TOLERANCE = 1e-5

try:
    import transformers
except ImportError:
    transformers = None
try:
    import timm
except ImportError:
    timm = None

failures = 0


def report(what: str, difference: float, tolerance: float = TOLERANCE) -> None:
    global failures
    good = difference <= tolerance
    failures += not good
    print(f"  {'ok  ' if good else 'FAIL'}  {what}: {difference:.1e} (at most {tolerance:.0e})")


def require(what: str, holds: bool, found: object = "") -> None:
    global failures
    failures += not holds
    print(f"  {'ok  ' if holds else 'FAIL'}  {what}{f': {found}' if not holds else ''}")


def largest(a: torch.Tensor, b: torch.Tensor) -> float:
    return (a - b).abs().max().item() if a.shape == b.shape else float("inf")


def load_transformers(folder: Path) -> torch.nn.Module:
    name = json.loads((folder / "config.json").read_text())["architectures"][0]
    more = {"add_pooling_layer": False} if name == "ViTModel" else {}
    model, info = getattr(transformers, name).from_pretrained(folder, output_loading_info=True, **more)
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        require(f"{name}, no {kind}", not info[kind], info[kind])
    return model.eval()


def images_for(model: torch.nn.Module) -> torch.Tensor:
    config = model.config
    size = config.image_size if isinstance(config.image_size, (list, tuple)) else [config.image_size] * 2
    return torch.randn(2, config.num_channels, *size)


@torch.no_grad()
def tokens_of(model: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
    """cls and all patches in order. ViTMAE shuffles unless nothing is hidden and the noise ascends."""
    if type(model).__name__ != "ViTMAEForPreTraining":
        return getattr(model, "vit", model)(images).last_hidden_state
    ratio, model.config.mask_ratio = model.config.mask_ratio, 0.0
    places = model.vit.embeddings.num_patches
    try:
        return model.vit(images, noise=torch.arange(float(places)).expand(len(images), -1)).last_hidden_state
    finally:
        model.config.mask_ratio = ratio


@torch.no_grad()
def compare_transformers(folder: Path, name: str, expected: dict[str, torch.Tensor]) -> None:
    model = load_transformers(folder)
    images = expected["input.images"]
    report("tokens", largest(tokens_of(model, images), expected[f"{name}.tokens"]))
    if type(model).__name__ == "ViTMAEForPreTraining":
        pred = model(images, noise=expected["input.noise"]).logits
        report("prediction", largest(pred, expected[f"{name}.pred"]))
    elif type(model).__name__ == "ViTForImageClassification":
        report("logits", largest(model(images).logits, expected[f"{name}.logits"]))


def load_timm(folder: Path) -> torch.nn.Module:
    config = json.loads((folder / "config.json").read_text())
    model = timm.create_model(config["architecture"], **config["model_args"])
    path = folder / "model.safetensors"
    found = model.load_state_dict(read_safetensors(path)[0], strict=False)
    require("timm, nothing missing or unexpected", not (found.missing_keys or found.unexpected_keys), found)
    try:
        timm.create_model(f"local-dir:{folder}", pretrained=True)
    except Exception as error:  # older versions have no such scheme
        print(f"  note  local-dir: {error}")
    return model.eval()


@torch.no_grad()
def compare_timm(folder: Path, expected: dict[str, torch.Tensor]) -> None:
    model = load_timm(folder)
    images = expected["input.images"]
    report("tokens", largest(model.forward_features(images), expected["timm.tokens"]))
    report("logits", largest(model(images), expected["timm.logits"]))


def sherd(*args: object) -> None:
    subprocess.run(["node", ROOT / "dist/src/cli/bin.cjs", *map(str, args)], check=True, stdout=subprocess.DEVNULL)


def through_sherd(source: Path, kind: str, work: Path, *more: str) -> Path:
    weights, folder = work / f"{source.name}.safetensors", work / f"{source.name}-{kind}{'-'.join(more)}"
    sherd("import", source, "--out", weights)
    sherd("export", kind, "--model", weights, "--out", folder, *more)
    return folder


def check_fixtures() -> None:
    expected, _ = read_safetensors(FIXTURES / "expected.safetensors")
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        if transformers:
            for name in ("huggingface-mae", "huggingface-vit"):
                print(f"{name}, as it is")
                compare_transformers(FIXTURES / name, name, expected)
                print(f"{name}, through sherd")
                compare_transformers(through_sherd(FIXTURES / name, "huggingface", work), name, expected)
            print("the encoder alone, through sherd")
            folder = through_sherd(FIXTURES / "huggingface-mae", "huggingface", work, "--task", "encoder")
            compare_transformers(folder, "huggingface-mae", expected)
        if timm:
            print("timm, as it is")
            compare_timm(FIXTURES / "timm", expected)
            print("timm, through sherd")
            compare_timm(through_sherd(FIXTURES / "timm", "timm", work), expected)


@torch.no_grad()
def check_folder(folder: Path) -> None:
    print(folder)
    config = json.loads((folder / "config.json").read_text())
    if "architecture" in config:
        if not timm:
            return
        model = load_timm(folder)
        tokens = model.forward_features(torch.randn(2, *config["pretrained_cfg"]["input_size"]))
    else:
        if not transformers:
            return
        model = load_transformers(folder)
        tokens = tokens_of(model, images_for(model))
        if (folder / "preprocessor_config.json").exists():
            transformers.AutoImageProcessor.from_pretrained(folder)
    require(f"{list(tokens.shape)} finite tokens", bool(tokens.isfinite().all()))


def main() -> None:
    for name, library in (("transformers", transformers), ("timm", timm)):
        print(f"{name} {library.__version__}" if library else f"{name} is not installed: nothing is checked against it")
    folders = [Path(name) for name in sys.argv[1:]]
    for folder in folders:
        check_folder(folder)
    if not folders:
        check_fixtures()
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
