"""Sends encoders of every published family through sherd, and loads what it writes by the real transformers and timm.

    PYTHON scripts/reference/check_layouts.py [--record [FILE]] [--larger DIR] [LAYOUTS]

PYTHON is one of an environment of its own with torch, transformers and timm; `npm run build` comes first. LAYOUTS holds folders as those of
`shared/reference/layouts`: each is imported and exported for both libraries, which must load that with no name missing or unexpected and
compute what the folder says, tokens and logits, within 1e-5 of the largest number (or the folder's own tolerance, where that is larger). What
sherd refuses to export is listed with its reason. --larger makes folders of larger random models in DIR by the libraries themselves, with
what they compute at the size they are made for and at another that is no square (`expected.safetensors`, as in LAYOUTS). `sherd verify` must
pass on them, they are checked as the small ones are, and then removed.

Exits with 1 if something differs. --record writes versions and differences to scripts/reference/check_layouts.json, or to FILE.
"""

import argparse
import copy
import datetime
import inspect
import json
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import timm
import torch
import transformers
from safetensors import safe_open
from safetensors.torch import save_file

import check_transformers as base
from check_transformers import about, largest, load_timm, load_transformers, report

ROOT = base.ROOT
RECORD = Path(__file__).with_suffix(".json")
refusals: list[dict[str, str]] = []

# `last_hidden_state` of these comes before the last norm.
BEFORE_NORM = re.compile(r"^(?:beit|data2vec-vision|clip|clip-vision|timm-beit|timm-beitv2|openclip.*)$")
# What no file of theirs says. `.pth` of small models have heads that do not follow from their width.
GIVEN = {"dinov3-pth": ["model.heads=2"], "dinov3-pth-swiglu": ["model.heads=2"]}


def is_before_norm(name: str, facts: dict[str, str]) -> bool:
    is_larger_clip = name.startswith("larger-CLIP") and "timm" not in facts["library"]
    return is_larger_clip or BEFORE_NORM.match(name) is not None


def sherd(*arguments: str) -> subprocess.CompletedProcess:
    command = ["node", str(ROOT / "dist/src/cli/bin.cjs"), *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def expected_of(folder: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    with safe_open(folder / "expected.safetensors", "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()


@torch.no_grad()
def outputs_of(model: torch.nn.Module, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
    """Tokens before and behind the last norm, the vector of an image, and logits, of either library."""
    if not hasattr(model, "forward_features"):
        return of_transformers(model, pixels)
    size = tuple(pixels.shape[-2:])
    if size != tuple(model.patch_embed.img_size):
        model = copy.deepcopy(model)
        model.set_input_size(img_size=size)
    before = []
    hook = model.norm.register_forward_pre_hook(lambda _, given: before.append(given[0]))
    tokens = model.forward_features(pixels)
    hook.remove()
    made = {"tokens": tokens, "before": before[0] if before else tokens, "pooled": model.forward_head(tokens, pre_logits=True)}
    return made | ({"logits": model(pixels)} if model.num_classes else {})


def naflex(model: torch.nn.Module, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
    """Images as SigLIP 2 wants them: patches row by row, channels last in each."""
    p = model.config.patch_size
    b, c, h, w = pixels.shape
    rows, columns = h // p, w // p
    patches = pixels.reshape(b, c, rows, p, columns, p).permute(0, 2, 4, 3, 5, 1).reshape(b, rows * columns, p * p * c)
    mask = torch.ones(b, rows * columns, dtype=torch.long)
    return {"pixel_values": patches, "pixel_attention_mask": mask, "spatial_shapes": torch.tensor([[rows, columns]] * b)}


def of_transformers(model: torch.nn.Module, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
    if hasattr(model.config, "mask_ratio"):
        model.config.mask_ratio = 0.0
    model = getattr(model, "vit", model) if hasattr(model.config, "mask_ratio") else model
    norms = {name: part for name, part in model.named_modules()}
    last = next((norms[n] for n in norms if re.search(r"(?:^|\.)(?:layernorm|norm|post_layernorm)$", n)), None)
    before, hook = [], None
    if last is not None:
        hook = last.register_forward_pre_hook(lambda _, given: before.append(given[0]))
    given: dict[str, object] = {"pixel_values": pixels}
    taken = inspect.signature(model.forward).parameters
    if "Siglip2" in type(model).__name__:
        given = naflex(model, pixels)
    elif "noise" in taken:  # ViTMAE: nothing hidden, in order
        patches = pixels[0, 0].numel() // model.config.patch_size**2
        given["noise"] = torch.arange(float(patches)).expand(len(pixels), -1)
    if "interpolate_pos_encoding" in taken and pixels.shape[-2] != pixels.shape[-1]:
        given["interpolate_pos_encoding"] = True
    result = model(**given, output_hidden_states=True)
    if hook:
        hook.remove()
    hidden = getattr(result, "last_hidden_state", None)
    made = {}
    if hidden is not None:
        is_clip = "CLIP" in type(model).__name__
        made["before"] = hidden if is_clip or last is None else before[0]
        made["tokens"] = last(hidden) if is_clip and last is not None else hidden
    for name, theirs in (("logits", "logits"), ("image_embeds", "image_embeds"), ("pooled", "pooler_output")):
        if getattr(result, theirs, None) is not None:
            made[name] = getattr(result, theirs)
    return made


def verify(folder: Path) -> None:
    about(f"{folder.name}, sherd verify")
    done = sherd("verify", str(folder), "--json")
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if not found:
        return base.require("is read", False, done.stderr[-600:])
    for each in found[0]["checks"]:
        report(each["name"], each["largestDifference"], each["tolerance"])
    base.require("everything is compared", not found[0]["notSupported"], found[0]["notSupported"])


def check(folder: Path, work: Path) -> None:
    name = folder.name
    expected, facts = expected_of(folder)
    pth = next(folder.glob("*.pth"), None)
    weights = work / f"{name}.safetensors"
    given = [*GIVEN.get(name, ["model.heads=4"] if pth else [])]
    half = work / "half.json"
    half.write_text('{"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}')
    statistics = ["--statistics", str(half)]
    done = sherd("import", str(pth or folder), "--out", str(weights), *(x for s in given for x in ("--set", s)), *statistics)
    if done.returncode:
        about(f"{name}, imported")
        return base.require("is imported", False, done.stderr[-400:])
    for library, load in (("huggingface", load_transformers), ("timm", load_timm)):
        out = work / f"{name}-{library}"
        more = ("--no-onnx",) if library == "huggingface" else ()
        done = sherd("export", library, "--model", str(weights), "--out", str(out), *more)
        if done.returncode:
            why = re.sub(r"\s+", " ", done.stderr.strip())
            print(f"{name}, for {library}: refused: {why}")
            refusals.append({"of": name, "for": library, "why": re.sub(r"/\S*/", "", why)})
            continue
        config = json.loads((out / "config.json").read_text())
        kind = config["architecture"] if library == "timm" else config["architectures"][0]
        about(f"{name}, through sherd, {kind}")
        model = load(out)
        compare(name, outputs_of(model, expected["input.pixel_values"]), expected, facts)
        # The card says where another class resamples positions otherwise.
        says = "resampled otherwise there" in (out / "README.md").read_text()
        if "input.resized.pixel_values" in expected and not says:
            compare(name, outputs_of(model, expected["input.resized.pixel_values"]), expected, facts, "resized.")
        shutil.rmtree(out)
    weights.unlink()


def compare(name: str, made: dict, expected: dict, facts: dict[str, str], at: str = "") -> None:
    tolerance = float(facts["tolerance"])
    tokens = made.get("before" if is_before_norm(name, facts) else "tokens")
    pairs = [("tokens", tokens if "pretraining" not in name else None, "last_hidden_state")]
    pairs += [(what, made.get(what), other) for what, other in (("logits", "logits"), ("image_embeds", "image_embeds"), ("logits", "image_embeds"))]
    for what, found, other in pairs:
        wanted = expected.get(f"expected.{at}{other}")
        if found is not None and wanted is not None and found.shape == wanted.shape:
            report(at + what, largest(found, wanted), max(tolerance, 1e-5 * wanted.abs().max().item()))


# --- Larger random models, made by the libraries --------------------------------------------------------------------------

# ViT-Small and ViT-Base, of 7 × 7 patches; the second size is of 5 × 9.
SMALL = {"hidden_size": 384, "num_hidden_layers": 12, "num_attention_heads": 6, "intermediate_size": 1536}
SIZE = SMALL | {"image_size": 112, "patch_size": 16}
BASE = SIZE | {"hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072}
TIMM_SIZE = {"embed_dim": 384, "depth": 12, "num_heads": 6, "img_size": 112, "patch_size": 16, "num_classes": 0}
TIMM_BASE = {"embed_dim": 768, "num_heads": 12}
OTHER_SIZE = (80, 144)
LARGER_TRANSFORMERS = {
    "ViTModel": ("ViTConfig", BASE),
    "ViTMAEModel": ("ViTMAEConfig", SIZE),
    "ViTForImageClassification": ("ViTConfig", SIZE | {"num_labels": 9}),
    "ViTMSNModel": ("ViTMSNConfig", SIZE),
    "IJepaModel": ("IJepaConfig", SIZE),
    "BeitModel": ("BeitConfig", SIZE | {"use_relative_position_bias": True}),
    "BeitForImageClassification": ("BeitConfig", SIZE | {"use_relative_position_bias": True, "num_labels": 9}),
    "BeitModel-wide": ("BeitConfig", SIZE | {"use_relative_position_bias": True, "image_size": [80, 112]}),
    "Data2VecVisionModel": ("Data2VecVisionConfig", SIZE | {"use_shared_relative_position_bias": True}),
    "Dinov2Model": ("Dinov2Config", SIZE | {"mlp_ratio": 4}),
    "Dinov2ForImageClassification": ("Dinov2Config", SIZE | {"mlp_ratio": 4, "num_labels": 9}),
    "Dinov2WithRegistersModel": ("Dinov2WithRegistersConfig", SIZE | {"mlp_ratio": 4, "use_swiglu_ffn": True}),
    "Dinov2WithRegistersForImageClassification": ("Dinov2WithRegistersConfig", SIZE | {"mlp_ratio": 4, "num_labels": 9}),
    "DINOv3ViTModel": ("DINOv3ViTConfig", SIZE | {"num_register_tokens": 4}),
    "CLIPVisionModelWithProjection": ("CLIPVisionConfig", SIZE | {"projection_dim": 128}),
    "SiglipVisionModel": ("SiglipVisionConfig", SIZE),
    "Siglip2VisionModel": ("Siglip2VisionConfig", SMALL | {"num_patches": 49, "patch_size": 16}),
}
LARGER_TIMM = {
    "vit_small_patch16_224": {},
    "vit_base_patch14_reg4_dinov2": TIMM_BASE,
    "vit_giant_patch14_dinov2": {"mlp_ratio": 16 / 3},
    "vit_small_patch16_dinov3_qkvb": {"global_pool": "token"},
    "vit_small_plus_patch16_dinov3": {},
    "beit_base_patch16_224": TIMM_BASE | {"init_values": 0.1},
    "beitv2_base_patch16_224": {"num_classes": 9},
    "vit_base_patch16_clip_quickgelu_224": {},
    "vit_base_patch16_siglip_224": {},
    "vit_so400m_patch16_siglip_256": {"mlp_ratio": 3.7},
}


# Of ViTMAE: sines and cosines, which version 5 leaves at zero in a model that it makes.
FIXED = re.compile(r"position_embeddings$")


def stir(model: torch.nn.Module) -> torch.nn.Module:
    generator = torch.Generator().manual_seed(7)
    for name, x in model.named_parameters():
        if hasattr(getattr(model, "config", None), "mask_ratio") and FIXED.search(name):
            x.data.zero_()[0, 1:] = base.positions(x.shape[-1], 7, 7)
            continue
        fan = x.shape[1] if x.dim() == 2 else 64
        centre = 1.0 if re.search(r"norm\w*\.weight$", name) else 0.6 if re.search(r"gamma|lambda", name) else 0.0
        x.data = centre + torch.randn(x.shape, generator=generator) * (0.1 if centre else fan**-0.5)
    return model.eval()


def outputs_at_sizes(
    folder: Path, model: torch.nn.Module, facts: dict[str, str], size: int | list[int], dtype: torch.dtype
) -> dict[str, torch.Tensor]:
    """Inputs and outputs in the form of LAYOUTS."""
    generator = torch.Generator().manual_seed(3)
    tensors = {}
    for at, sides in (("", [size, size] if isinstance(size, int) else size), ("resized.", OTHER_SIZE)):
        pixels = torch.randn(2, 3, *sides, generator=generator)
        made = outputs_of(model, pixels.to(dtype))
        tensors[f"input.{at}pixel_values"] = pixels
        tokens = made.get("before" if is_before_norm(folder.name, facts) else "tokens")
        if tokens is not None:
            tensors[f"expected.{at}last_hidden_state"] = tokens
        tensors |= {f"expected.{at}{name}": made[name] for name in ("logits", "image_embeds", "pooled") if name in made}
    return tensors


def keep(folder: Path, model: torch.nn.Module, facts: dict[str, str], size: int | list[int] = 112) -> None:
    """What the library computes, with a tolerance of five times what float64 differs by, as in LAYOUTS."""
    tensors = outputs_at_sizes(folder, model, facts, size, torch.float32)
    exact = outputs_at_sizes(folder, copy.deepcopy(model).double(), facts, size, torch.float64)
    rounding = max(largest(x.double(), exact[name].double()) for name, x in tensors.items())
    metadata = {"format": "sherd-layout/1", "tolerance": f"{max(2e-5, 5 * rounding):.1e}", "note": "made by check_layouts.py", **facts}
    save_file({name: x.contiguous() for name, x in tensors.items()}, folder / "expected.safetensors", metadata)


def make_larger(where: Path) -> Iterator[Path]:
    for name, (config, options) in LARGER_TRANSFORMERS.items():
        folder = where / f"larger-{name}"
        kind = name.split("-")[0]
        model = stir(getattr(transformers, kind)(getattr(transformers, config)(**options)))
        model.save_pretrained(folder)
        size = options.get("image_size", 112)
        keep(folder, model, {"family": kind, "library": f"transformers {transformers.__version__}", "class": kind}, size)
        yield folder
    for name, options in LARGER_TIMM.items():
        folder = where / f"larger-timm-{name}"
        folder.mkdir(parents=True, exist_ok=True)
        args = TIMM_SIZE | options
        model = stir(timm.create_model(name, **args))
        save_file({k: v.contiguous() for k, v in model.state_dict().items()}, folder / "model.safetensors", {"format": "pt"})
        pool = model.global_pool
        config = {"architecture": name, "num_classes": args["num_classes"], "num_features": model.num_features, "global_pool": pool}
        cfg = {"input_size": [3, 112, 112], "mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "crop_pct": 1.0}
        (folder / "config.json").write_text(json.dumps(config | {"model_args": args | {"global_pool": pool}, "pretrained_cfg": cfg}))
        keep(folder, model, {"family": name, "library": f"timm {timm.__version__}", "class": name})
        yield folder


def by_model() -> list[dict[str, object]]:
    """How many checks each model has passed, and its differences."""
    rows: dict[object, dict[str, object]] = {}
    for each in base.checks:
        row = rows.setdefault(each["of"], {"of": each["of"], "checks": 0, "holds": True})
        row["checks"] += 1
        row["holds"] = row["holds"] and each["holds"]
        if "difference" in each:
            row[each["what"]] = each["difference"]
    return list(rows.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("layouts", nargs="?", type=Path)
    parser.add_argument("--record", nargs="?", type=Path, const=RECORD)
    parser.add_argument("--larger", type=Path)
    given = parser.parse_args()
    torch.manual_seed(0)
    versions = {"transformers": transformers.__version__, "timm": timm.__version__}
    print(versions)
    folders = sorted(f.parent for f in given.layouts.glob("*/expected.safetensors")) if given.layouts else []
    with tempfile.TemporaryDirectory() as work:
        for folder in folders:
            if not folder.name.startswith("videomae"):
                check(folder, Path(work))
        for folder in make_larger(given.larger) if given.larger else []:
            verify(folder)
            check(folder, Path(work))
            shutil.rmtree(folder)
    if given.record:
        about = {"date": datetime.date.today().isoformat(), "python": platform.python_version(), "torch": torch.__version__}
        record = {"made by": "scripts/reference/check_layouts.py", **about, **versions, "models": by_model(), "refused": refusals}
        text = json.dumps(record, indent=2, ensure_ascii=False)
        given.record.write_text(re.sub(r"(?<=\de-)0", "", text) + "\n")  # 1e-5, as the project's formatter wants it
    print(f"{len(base.checks)} checks, {base.failures} failed, {len(refusals)} refused")
    sys.exit(1 if base.failures else 0)


if __name__ == "__main__":
    main()
