"""Sends encoders of every published family through sherd, and loads what it writes by the real transformers and timm.

    PYTHON scripts/reference/check_layouts.py [--record [FILE]] [--larger DIR] [--verify] [LAYOUTS]

PYTHON is one of an environment of its own with torch, transformers and timm; `npm run build` comes first. LAYOUTS holds folders as those of
`shared/reference/layouts`: each is imported and exported for both libraries, which must load that with no name missing or unexpected and
compute what the folder says, tokens and logits, within 1e-5 of the largest number (or the folder's own tolerance, where that is larger). What
sherd refuses to export is listed with its reason. --larger makes folders of larger random models in DIR by the libraries themselves, with
what they compute (`expected.safetensors`, as in LAYOUTS), and checks them, too; with --verify by `sherd verify` as well.

Exits with 1 if something differs. --record writes versions and differences to scripts/reference/check_layouts.json, or to FILE.
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
    """Tokens before and behind the last norm, and logits, of either library."""
    if not hasattr(model, "forward_features"):
        return of_transformers(model, pixels)
    before = []
    hook = model.norm.register_forward_pre_hook(lambda _, given: before.append(given[0]))
    tokens = model.forward_features(pixels)
    hook.remove()
    made = {"tokens": tokens, "before": before[0] if before else tokens}
    return made | ({"logits": model(pixels)} if model.num_classes else {})


def of_transformers(model: torch.nn.Module, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
    norms = {name: part for name, part in model.named_modules()}
    last = next((norms[n] for n in norms if re.search(r"(?:^|\.)(?:layernorm|norm|post_layernorm)$", n)), None)
    before, hook = [], None
    if last is not None:
        hook = last.register_forward_pre_hook(lambda _, given: before.append(given[0]))
    more = {}
    if hasattr(model.config, "mask_ratio"):  # ViTMAE: nothing hidden, in order
        model.config.mask_ratio = 0.0
        more["noise"] = torch.arange(float(base.patch_count(model))).expand(len(pixels), -1)
        model = model.vit
    result = model(pixels, output_hidden_states=True, **more)
    if hook:
        hook.remove()
    hidden = getattr(result, "last_hidden_state", None)
    made = {}
    if hidden is not None:
        is_clip = "CLIP" in type(model).__name__
        made["before"] = hidden if is_clip or last is None else before[0]
        made["tokens"] = last(hidden) if is_clip and last is not None else hidden
    for name in ("logits", "image_embeds"):
        if getattr(result, name, None) is not None:
            made[name] = getattr(result, name)
    return made


def check(folder: Path, work: Path, verify: bool = False) -> None:
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
    if verify:
        about(f"{name}, by sherd")
        done = sherd("verify", str(folder))
        base.require("sherd verify", done.returncode == 0, (done.stdout + done.stderr)[-600:])
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
        made = outputs_of(load(out), expected["input.pixel_values"])
        compare(name, made, expected, facts)


def compare(name: str, made: dict, expected: dict, facts: dict[str, str]) -> None:
    tolerance = float(facts["tolerance"])
    hidden = expected.get("expected.last_hidden_state")
    tokens = made.get("before" if is_before_norm(name, facts) else "tokens")
    if hidden is not None and tokens is not None and "pretraining" not in name:
        report("tokens", largest(tokens, hidden), max(tolerance, 1e-5 * hidden.abs().max().item()))
    for what, other in (("logits", "expected.logits"), ("image_embeds", "expected.image_embeds"), ("logits", "expected.image_embeds")):
        if what in made and other in expected and made[what].shape == expected[other].shape:
            report(what, largest(made[what], expected[other]), max(tolerance, 1e-5 * expected[other].abs().max().item()))


# --- Larger random models, made by the libraries --------------------------------------------------------------------------

SIZE = {"hidden_size": 192, "num_hidden_layers": 6, "num_attention_heads": 6, "intermediate_size": 768, "image_size": 96, "patch_size": 16}
TIMM_SIZE = {"embed_dim": 192, "depth": 6, "num_heads": 6, "img_size": 96, "patch_size": 16, "num_classes": 0}
LARGER_TRANSFORMERS = {
    "ViTModel": ("ViTConfig", SIZE),
    "ViTForImageClassification": ("ViTConfig", SIZE | {"num_labels": 9}),
    "ViTMSNModel": ("ViTMSNConfig", SIZE),
    "IJepaModel": ("IJepaConfig", SIZE),
    "BeitModel": ("BeitConfig", SIZE | {"use_relative_position_bias": True}),
    "BeitForImageClassification": ("BeitConfig", SIZE | {"use_relative_position_bias": True, "num_labels": 9}),
    "Data2VecVisionModel": ("Data2VecVisionConfig", SIZE | {"use_shared_relative_position_bias": True}),
    "Dinov2Model": ("Dinov2Config", SIZE | {"mlp_ratio": 4}),
    "Dinov2ForImageClassification": ("Dinov2Config", SIZE | {"mlp_ratio": 4, "num_labels": 9}),
    "Dinov2WithRegistersModel": ("Dinov2WithRegistersConfig", SIZE | {"mlp_ratio": 4, "use_swiglu_ffn": True}),
    "Dinov2WithRegistersForImageClassification": ("Dinov2WithRegistersConfig", SIZE | {"mlp_ratio": 4, "num_labels": 9}),
    "DINOv3ViTModel": ("DINOv3ViTConfig", SIZE | {"num_register_tokens": 4}),
    "CLIPVisionModelWithProjection": ("CLIPVisionConfig", SIZE | {"projection_dim": 128}),
    "SiglipVisionModel": ("SiglipVisionConfig", SIZE),
}
LARGER_TIMM = {
    "vit_small_patch16_224": {},
    "vit_small_patch14_reg4_dinov2": {},
    "vit_giant_patch14_dinov2": {"mlp_ratio": 16 / 3},
    "vit_small_patch16_dinov3_qkvb": {"global_pool": "token"},
    "vit_small_plus_patch16_dinov3": {},
    "beit_base_patch16_224": {"init_values": 0.1},
    "beitv2_base_patch16_224": {"num_classes": 9},
    "vit_base_patch16_clip_quickgelu_224": {},
    "vit_base_patch16_siglip_224": {},
    "vit_so400m_patch16_siglip_256": {"mlp_ratio": 3.7},
}


def stir(model: torch.nn.Module) -> torch.nn.Module:
    generator = torch.Generator().manual_seed(7)
    for name, x in model.named_parameters():
        fan = x.shape[1] if x.dim() == 2 else 64
        centre = 1.0 if re.search(r"norm\w*\.weight$", name) else 0.6 if re.search(r"gamma|lambda", name) else 0.0
        x.data = centre + torch.randn(x.shape, generator=generator) * (0.1 if centre else fan**-0.5)
    return model.eval()


def keep(folder: Path, model: torch.nn.Module, facts: dict[str, str], size: int = 96) -> None:
    """What the library computes, in the form of LAYOUTS."""
    pixels = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(3))
    made = outputs_of(model, pixels)
    tokens = made.get("before" if is_before_norm(folder.name, facts) else "tokens")
    tensors = {"input.pixel_values": pixels}
    if tokens is not None:
        tensors["expected.last_hidden_state"] = tokens
    tensors |= {f"expected.{name}": made[name] for name in ("logits", "image_embeds") if name in made}
    metadata = {"format": "sherd-layout/1", "tolerance": "1e-4", "note": "made by check_layouts.py", **facts}
    save_file({name: x.contiguous() for name, x in tensors.items()}, folder / "expected.safetensors", metadata)


def make_larger(where: Path) -> list[Path]:
    folders = []
    for name, (config, options) in LARGER_TRANSFORMERS.items():
        folder = where / f"larger-{name}"
        model = stir(getattr(transformers, name)(getattr(transformers, config)(**options)))
        model.save_pretrained(folder)
        family = next(f for f in ("beit", "data2vec", "clip", "") if name.lower().startswith(f))
        keep(folder, model, {"family": family or name, "library": f"transformers {transformers.__version__}", "class": name})
        folders.append(folder)
    for name, options in LARGER_TIMM.items():
        folder = where / f"larger-timm-{name}"
        folder.mkdir(parents=True, exist_ok=True)
        args = TIMM_SIZE | options
        model = stir(timm.create_model(name, **args))
        save_file({k: v.contiguous() for k, v in model.state_dict().items()}, folder / "model.safetensors", {"format": "pt"})
        pool = model.global_pool
        config = {"architecture": name, "num_classes": args["num_classes"], "num_features": 192, "global_pool": pool}
        cfg = {"input_size": [3, 96, 96], "mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "crop_pct": 1.0}
        (folder / "config.json").write_text(json.dumps(config | {"model_args": args | {"global_pool": pool}, "pretrained_cfg": cfg}))
        keep(folder, model, {"family": name, "library": f"timm {timm.__version__}", "class": name})
        folders.append(folder)
    return folders


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
    parser.add_argument("--verify", action="store_true")
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
            check(folder, Path(work), given.verify)
    if given.record:
        about = {"date": datetime.date.today().isoformat(), "python": platform.python_version(), "torch": torch.__version__}
        record = {"made by": "scripts/reference/check_layouts.py", **about, **versions, "models": by_model(), "refused": refusals}
        text = json.dumps(record, indent=2, ensure_ascii=False)
        given.record.write_text(re.sub(r"(?<=\de-)0", "", text) + "\n")  # 1e-5, as the project's formatter wants it
    print(f"{len(base.checks)} checks, {base.failures} failed, {len(refusals)} refused")
    sys.exit(1 if base.failures else 0)


if __name__ == "__main__":
    main()
