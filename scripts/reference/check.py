"""Checks reference files against this folder's own equations and, of mae, against the peer model (bench/peers/mae.py).

    python3 scripts/reference/check.py FILE...

Prints the largest difference of each kind; exits with 1 if one is above the reference format's tolerance. Files of satmae
must also have properties that follow from what the objective is and not from how it is written down: see `properties`.
"""

import json
import sys
from pathlib import Path

import torch
import torch.nn.functional as F

import mae_reference
import satmae_reference
from mae_reference import Tensors

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench" / "peers"))

from mae import from_config, parameter_groups  # noqa: E402

# The largest absolute difference allowed for each kind of tensor.
TOLERANCES = {
    "loss": 1e-5,
    "pred": 1e-5,
    "mask": 0,
    "latent": 1e-5,
    "grad": 1e-6,
    "losses": 1e-5,
    "final": 2e-4,
    "final qkv.bias": 2e-3,  # its key third has no true gradient, and Adam amplifies the rounding noise there
}


def kind(name: str) -> str:
    """expected.final.blocks.0.attn.qkv.bias -> final qkv.bias"""
    first = name.split(".")[1]
    return "final qkv.bias" if first == "final" and name.endswith("attn.qkv.bias") else first


def peer_results(config: dict, optimizer: dict, weights: Tensors, images: torch.Tensor, noise: torch.Tensor) -> Tensors:
    """What the peer model computes, under the names of the file's `expected.` tensors."""
    model = from_config(config)
    model.load_state_dict(weights, strict=True)
    adamw = torch.optim.AdamW(
        parameter_groups(model, optimizer["weightDecay"]),
        lr=optimizer["learningRate"],
        betas=(optimizer["beta1"], optimizer["beta2"]),
        eps=optimizer["epsilon"],
    )
    result = {"expected.latent": model.encode(images, noise[0])[0].detach()}
    losses = []
    for step, draw in enumerate(noise):
        loss, pred, mask = model(images, draw)
        adamw.zero_grad(set_to_none=True)
        loss.backward()
        if step == 0:
            result |= {"expected.loss": loss.detach(), "expected.pred": pred.detach(), "expected.mask": mask}
            result |= {f"expected.grad.{name}": p.grad.clone() for name, p in model.named_parameters()}
        losses.append(loss.detach())
        adamw.step()
    result["expected.losses"] = torch.stack(losses)
    return result | {f"expected.final.{name}": p.detach() for name, p in model.named_parameters()}


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    """The largest absolute difference; infinite if the shapes differ or a value is not a number."""
    return (a - b).abs().nan_to_num(nan=float("inf")).max().item() if a.shape == b.shape else float("inf")


def compare(file: Tensors, got: Tensors) -> bool:
    """Prints one line for each kind of tensor; true if all are within tolerance."""
    want = {name: tensor for name, tensor in file.items() if name.startswith("expected.")}
    if want.keys() != got.keys():
        print(f"  FAIL  names differ: {sorted(want.keys() ^ got.keys())}")
        return False
    passed = True
    for group, tolerance in TOLERANCES.items():
        differences = {name: difference(got[name], t) for name, t in want.items() if kind(name) == group}
        worst = max(differences, key=differences.__getitem__)
        good = differences[worst] <= tolerance
        passed &= good
        where = worst.removeprefix("expected.")
        print(f"  {'ok  ' if good else 'FAIL'}  {group:15}{differences[worst]:9.1e} (at most {tolerance:.0e})  {where}")
    return passed


def plain_satmae(config: dict, optimizer: dict, weights: Tensors, images: torch.Tensor, noise: torch.Tensor) -> Tensors:
    """A plain masked autoencoder is satmae of one group and one date."""
    return satmae_reference.expected(config, optimizer, weights, images, noise, {})


# --- Properties of satmae ---------------------------------------------------------------------------------------


def same(a: Tensors, b: Tensors, names: tuple[str, ...] = ("loss", "pred", "mask", "latent"), tolerance: float = 1e-6) -> bool:
    return all(difference(a[name], b[name]) <= tolerance for name in names)


def frames_of(images: torch.Tensor) -> torch.Tensor:
    return images if images.ndim == 5 else images[:, None]


def changed_where_hidden(config: dict, images: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The images with other values in all hidden tokens and in the bands that no group has."""
    result = images.clone()
    side = config["patchSize"] * max(config.get("scales", []), default=1)
    groups = satmae_reference.groups_of(config)
    unused = [band for band in range(config["channels"]) if not any(band in bands for bands in groups)]
    for image, hidden in zip(frames_of(result), mask):
        image[:, unused] += 3
        for n, token in enumerate(satmae_reference.tokens_of(config)):
            if hidden[n] == 1:
                patch = satmae_reference.cut(image[token.frame], token, side)
                patch[groups[token.group]] += torch.arange(side * side).reshape(side, side)
    return result


def empty_tokens_are_hidden(config: dict, images: torch.Tensor, mask: torch.Tensor) -> bool:
    return all(
        hidden[n] == 1
        for image, hidden in zip(frames_of(images), mask)
        for n, token in enumerate(satmae_reference.tokens_of(config))
        if satmae_reference.cut(image[token.frame], token, config["patchSize"]).isnan().any(dim=0).all()
    )


def upscale_properties(config: dict, weights: Tensors, images: torch.Tensor) -> dict[str, bool]:
    bands = len(satmae_reference.grouped_bands(config))
    x = torch.randn(2, config["upscaleWidth"], 3, 5, generator=torch.Generator().manual_seed(0))
    kernel = lambda which: [weights[f"upscale.blocks.0.{which}.{part}"] for part in ("weight", "bias")]
    pairs = {
        "up": (satmae_reference.doubled, F.conv_transpose2d(x, *kernel("up"), stride=2, padding=1)),
        "conv1": (satmae_reference.convolution, F.conv2d(x, *kernel("conv1"), padding=1)),
        "pred": (satmae_reference.convolution, F.conv2d(x, *kernel("pred"))),
    }
    outputs = satmae_reference.upscaled(weights, config, torch.zeros(1, bands, *config["imageSize"]))
    sizes = [[1, bands, *(scale * side for side in config["imageSize"])] for scale in config["scales"]]
    pooled = F.avg_pool2d(images.flatten(0, -4), max(config["scales"]))
    return {
        "the convolutions are PyTorch's": all(
            difference(function(weights, f"upscale.blocks.0.{which}", x), want) <= 1e-5
            for which, (function, want) in pairs.items()
        ),
        "each scale has its size": [list(out.shape) for out in outputs] == sizes,
        "the area mean is PyTorch's": difference(
            satmae_reference.area_mean(images, max(config["scales"])).flatten(0, -4), pooled
        ) <= 1e-6,
    }  # fmt: skip


def properties(config: dict, weights: Tensors, images: torch.Tensor, noise: torch.Tensor, inputs: Tensors) -> dict[str, bool]:
    """What must hold whatever the way in which the equations are written."""

    def run(images: torch.Tensor = images, config: dict = config, inputs: Tensors = inputs) -> Tensors:
        return satmae_reference.forward(weights, config, images, noise[0], inputs)

    usual = run()
    mask = usual["mask"]
    unseen = run(changed_where_hidden(config, images, mask))
    found = {"what is hidden or in no group is not seen": same(usual, unseen, ("pred", "mask", "latent"))}
    if images.isnan().any():
        everywhere = images.clone()
        everywhere[images.isnan().any(dim=-3, keepdim=True).expand_as(images)] = float("nan")
        found["no data in one band is no data in all"] = same(usual, run(everywhere), tolerance=0)
        found["tokens without data are hidden"] = empty_tokens_are_hidden(config, images, mask)
    if "times" in inputs:
        unknown = torch.full_like(inputs["times"], satmae_reference.UNKNOWN_TIME)
        found["times are seen"] = not same(usual, run(inputs={**inputs, "times": unknown}), ("latent",), 1e-3)
    if "resolution" in inputs:
        usual_places = mae_reference.forward(weights, config, images, noise[0])
        as_reference = torch.full_like(inputs["resolution"], config["referenceResolution"])
        found["at the reference resolution it is mae"] = same(run(inputs={"resolution": as_reference}), usual_places)
        found["another resolution is seen"] = not same(usual, usual_places, ("latent",), 1e-3)
    if config.get("scales"):
        found |= upscale_properties(config, weights, images)
    if config.get("compat"):
        plain = run(config={key: value for key, value in config.items() if key != "compat"})
        found["it has the encoder of any satmae"] = same(usual, plain, ("mask", "latent"), 0)
        found["it has another picture and another loss"] = not same(usual, plain, ("loss",), 1e-3)
    return found


# How the numbers of each objective are computed again; the peer knows no groups, dates and scales.
WAYS = {
    "mae": (
        ("peer", peer_results),
        ("equations", mae_reference.expected),
        ("equations of satmae", plain_satmae),
    ),
    "satmae": (("equations", satmae_reference.expected),),
}


def check(path: Path) -> bool:
    tensors, metadata = mae_reference.read_safetensors(path)
    objective = metadata.get("objective")
    ways = WAYS.get(objective or "", ())
    if metadata.get("format") != "sherd-reference/1" or not ways:
        print(f"{path.name}: not a sherd-reference/1 file of {' or '.join(WAYS)}")
        return False
    config, optimizer = json.loads(metadata["config"]), json.loads(metadata["optimizer"])
    weights = {name.removeprefix("weights."): t for name, t in tensors.items() if name.startswith("weights.")}
    images, noise = tensors["input.images"], tensors["input.noise"]
    inputs = {name: tensors[f"input.{name}"] for name in ("times", "resolution") if f"input.{name}" in tensors}
    own = (inputs,) if objective == "satmae" else ()
    passed = True
    for label, results in ways:
        print(f"{path.name}: {label}")
        passed &= compare(tensors, results(config, optimizer, weights, images, noise, *own))
    if objective == "satmae":
        print(f"{path.name}: properties")
        for what, holds in properties(config, weights, images, noise, inputs).items():
            print(f"  {'ok  ' if holds else 'FAIL'}  {what}")
            passed &= holds
    return passed


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    torch.set_num_threads(1)
    sys.exit(0 if all([check(Path(name)) for name in sys.argv[1:]]) else 1)


if __name__ == "__main__":
    main()
