"""Checks imports and exports against the real transformers and timm, where they are installed.

    python3 scripts/reference/check_transformers.py [--record [FILE]] [FOLDER...]
    python3 scripts/reference/check_transformers.py --images DIR --features FILE.npy FOLDER

Without folders: the small models of test/fixtures/weights. The libraries load them and must compute what make_layouts.py wrote down
(its forward passes are its own); then sherd imports and exports them (`npm run build` first; LibTorch is not needed), and the
libraries must load that with no parameter missing or unexpected and compute the same. Last, models that the libraries make and save
themselves go through sherd and must come back as they were. With folders of `sherd export huggingface` or `timm`: that they load
whole and compute finite numbers; with --images and --features (`sherd embed DIR --model encoder.onnx --pool cls --out FILE.npy`, of the same
model) that image processor and model together give what sherd gives, but for how they resize (backends of transformers 5).

Exits with 1 if something differs. A library that is not installed is said to be so and not checked. --record writes versions and
differences to scripts/reference/check_transformers.json, or to FILE; it checks the small models in any case.
"""

import argparse
import datetime
import json
import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from mae_reference import positions, read_safetensors

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "test" / "fixtures" / "weights"
RECORD = Path(__file__).with_suffix(".json")
TOLERANCE = 1e-5

try:
    import transformers

    transformers.utils.logging.disable_progress_bar()
except ImportError:
    transformers = None
try:
    import timm
except ImportError:
    timm = None

failures = 0
subject = ""
checks: list[dict[str, object]] = []


def about(what: str) -> None:
    global subject
    subject = what
    print(what)


def note(good: bool, what: str, text: str, more: dict[str, object]) -> None:
    global failures
    failures += not good
    print(f"  {'ok  ' if good else 'FAIL'}  {what}{text}")
    checks.append({"of": subject, "what": what, "holds": good, **more})


def report(what: str, difference: float, tolerance: float = TOLERANCE) -> None:
    difference = float(f"{difference:.2e}")
    text = f": {difference:.1e} (at most {tolerance:.0e})"
    note(difference <= tolerance, what, text, {"difference": difference, "at most": tolerance})


def require(what: str, holds: bool, found: object = "") -> None:
    note(holds, what, f": {found}" if not holds else "", {})


def largest(a: torch.Tensor, b: torch.Tensor) -> float:
    return (a - b).abs().max().item() if a.shape == b.shape else float("inf")


def load_transformers(folder: Path) -> torch.nn.Module:
    name = json.loads((folder / "config.json").read_text())["architectures"][0]
    more = {"add_pooling_layer": False} if name == "ViTModel" else {}
    more["dtype" if transformers.__version__ >= "5" else "torch_dtype"] = torch.float32  # else as they are stored
    model, info = getattr(transformers, name).from_pretrained(folder, output_loading_info=True, **more)
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        require(f"{name}, no {kind}", not info[kind], info[kind])
    return model.eval()


def images_for(model: torch.nn.Module) -> torch.Tensor:
    config = model.config
    size = config.image_size if isinstance(config.image_size, (list, tuple)) else [config.image_size] * 2
    return torch.randn(2, config.num_channels, *size)


def patch_count(model: torch.nn.Module) -> int:
    return model.vit.embeddings.patch_embeddings.num_patches


@torch.no_grad()
def tokens_of(model: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
    """cls and all patches in order. ViTMAE shuffles unless nothing is hidden and the noise ascends."""
    if not hasattr(model.config, "mask_ratio"):
        return getattr(model, "vit", model)(images).last_hidden_state
    ratio, model.config.mask_ratio = model.config.mask_ratio, 0.0
    noise = torch.arange(float(patch_count(model))).expand(len(images), -1)
    try:
        return model.vit(images, noise=noise).last_hidden_state
    finally:
        model.config.mask_ratio = ratio


@torch.no_grad()
def compare_transformers(folder: Path, name: str, expected: dict[str, torch.Tensor]) -> None:
    model = load_transformers(folder)
    images, noise = expected["input.images"], expected["input.noise"]
    report("tokens", largest(tokens_of(model, images), expected[f"{name}.tokens"]))
    kind = type(model).__name__
    if kind == "ViTMAEForPreTraining":
        made = model(images, noise=noise)
        report("prediction", largest(made.logits, expected[f"{name}.pred"]))
        if f"{name}.loss" in expected:
            report("loss", largest(made.loss.flatten(), expected[f"{name}.loss"].flatten()))
    elif kind == "ViTForImageClassification":
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


def through_sherd(source: Path, kind: str, work: Path, *, importing: tuple = (), exporting: tuple = ()) -> Path:
    weights = work / f"{source.name}.safetensors"
    folder = work / "-".join([source.name, kind, *map(str, exporting)])
    sherd("import", source, "--out", weights, *importing)
    without = ("--no-onnx",) if kind == "huggingface" else ()
    sherd("export", kind, "--model", weights, "--out", folder, *without, *exporting)
    return folder


HEADS = ("--set", "model.heads=2", "--set", "decoder.heads=2")


def check_transformers(expected: dict[str, torch.Tensor], work: Path) -> None:
    for name in ("huggingface-mae", "huggingface-vit"):
        about(f"{name}, as it is")
        compare_transformers(FIXTURES / name, name, expected)
        about(f"{name}, through sherd")
        compare_transformers(through_sherd(FIXTURES / name, "huggingface", work), name, expected)
    about("huggingface-mae, through sherd, the encoder alone")
    folder = through_sherd(FIXTURES / "huggingface-mae", "huggingface", work, exporting=("--task", "encoder"))
    compare_transformers(folder, "huggingface-mae", expected)
    about("mae.pth of facebookresearch/mae, through sherd")
    compare_transformers(through_sherd(FIXTURES / "mae.pth", "huggingface", work, importing=HEADS), "mae", expected)
    about("timm's classifier with learned positions, through sherd")
    compare_transformers(through_sherd(FIXTURES / "timm", "huggingface", work), "timm", expected)
    sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 48}
    common = sizes | {"image_size": 12, "patch_size": 4}
    decoder = {f"decoder_{name}": value for name, value in sizes.items()} | {"decoder_hidden_size": 12, "decoder_intermediate_size": 24}
    named = {"id2label": {0: "ant", 1: "bee"}, "label2id": {"ant": 0, "bee": 1}}
    for name, config in (
        ("ViTMAEForPreTraining", transformers.ViTMAEConfig(**common, **decoder)),
        ("ViTModel", transformers.ViTConfig(**common, layer_norm_eps=1e-6)),
        ("ViTForImageClassification", transformers.ViTConfig(**common, **named)),
    ):
        back_again(name, config, work)


@torch.no_grad()
def back_again(name: str, config: "transformers.PretrainedConfig", work: Path) -> None:
    """A model that transformers makes and saves, through sherd."""
    about(f"{name}, saved by transformers, through sherd")
    torch.manual_seed(1)
    model = getattr(transformers, name)(config).eval()
    for parameter in model.parameters():
        parameter.normal_(0, 0.2)
    if name == "ViTMAEForPreTraining":  # version 5 leaves zeros in the tables of new models; released ones have sines and cosines
        for table in (model.vit.embeddings.position_embeddings, model.decoder.decoder_pos_embed):
            table.zero_()[0, 1:] = positions(table.shape[-1], 3, 3)
    saved = work / name
    model.save_pretrained(saved)
    pooler = ("--allow", "unexpected") if name == "ViTModel" else ()  # sherd has no pooling layer
    again = load_transformers(through_sherd(saved, "huggingface", work, importing=pooler))
    images = images_for(model)
    report("tokens", largest(tokens_of(again, images), tokens_of(model, images)))
    if name == "ViTMAEForPreTraining":
        noise = torch.rand(2, patch_count(model))
        report("prediction", largest(again(images, noise=noise).logits, model(images, noise=noise).logits))
    elif name == "ViTForImageClassification":
        report("logits", largest(again(images).logits, model(images).logits))
        require("names of classes", again.config.id2label == model.config.id2label, again.config.id2label)


def check_timm(expected: dict[str, torch.Tensor], work: Path) -> None:
    about("timm, as it is")
    compare_timm(FIXTURES / "timm", expected)
    about("timm, through sherd")
    compare_timm(through_sherd(FIXTURES / "timm", "timm", work), expected)


@torch.no_grad()
def check_folder(folder: Path) -> torch.nn.Module | None:
    about(f"{folder.name}, as sherd exported it")
    config = json.loads((folder / "config.json").read_text())
    if "architecture" in config:
        if not timm:
            return None
        model = load_timm(folder)
        tokens = model.forward_features(torch.randn(2, *config["pretrained_cfg"]["input_size"]))
    else:
        if not transformers:
            return None
        model = load_transformers(folder)
        tokens = tokens_of(model, images_for(model))
    require(f"{list(tokens.shape)} finite tokens", bool(tokens.isfinite().all()))
    return model


@torch.no_grad()
def compare_features(folder: Path, model: torch.nn.Module, images: Path, features: Path) -> None:
    """cls of real images by each of the image processors, and by sherd."""
    import numpy
    from PIL import Image

    expected = torch.from_numpy(numpy.load(features))
    files = [image["file"] for image in json.loads(features.with_suffix(".json").read_text())["images"]]
    pictures = [Image.open(images / file).convert("RGB") for file in files]
    size = pictures[0].size
    for backend, most in (("torchvision", 1e-2), ("pil", 1e-4)):  # sherd resizes byte for byte as Pillow does
        processor = transformers.AutoImageProcessor.from_pretrained(folder, backend=backend)
        pixels = processor(pictures, return_tensors="pt").pixel_values
        made = tokens_of(model, pixels)[:, 0]
        cosine = torch.cosine_similarity(made, expected).min().item()
        what = f"{len(files)} images of {size[0]} × {size[1]}, {type(processor).__name__}"
        report(f"{what}: 1 − cosine of cls with sherd's", 1 - cosine, 1e-5)
        report(f"{what}: largest difference of cls", largest(made, expected), most)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--record", nargs="?", type=Path, const=RECORD)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--features", type=Path)
    given = parser.parse_args()
    libraries = {"transformers": transformers, "timm": timm}
    versions = {name: library.__version__ if library else None for name, library in libraries.items()}
    for name, version in versions.items():
        print(f"{name} {version}" if version else f"{name} is not installed: nothing is checked against it")
    for folder in given.folders:
        model = check_folder(folder)
        if model and transformers and given.images and given.features:
            compare_features(folder, model, given.images, given.features)
    if given.record or not given.folders:
        expected, _ = read_safetensors(FIXTURES / "expected.safetensors")
        with tempfile.TemporaryDirectory() as work:
            if transformers:
                check_transformers(expected, Path(work))
            if timm:
                check_timm(expected, Path(work))
    if given.record:
        about = {"date": datetime.date.today().isoformat(), "python": platform.python_version(), "torch": torch.__version__}
        record = {"made by": "scripts/reference/check_transformers.py", **about, **versions, "checks": checks}
        text = json.dumps(record, indent=2, ensure_ascii=False)
        given.record.write_text(re.sub(r"(?<=\de-)0", "", text) + "\n")  # 1e-5, as the project's formatter wants it
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
