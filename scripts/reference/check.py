"""Checks reference files against this folder's own equations and, of mae, against the peer model (bench/peers/mae.py).

    python3 scripts/reference/check.py FILE...

Prints the largest difference of each kind; exits with 1 if one is above the reference format's tolerance.
"""

import json
import sys
from pathlib import Path

import torch

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


def satmae_results(*arguments) -> Tensors:
    return mae_reference.expected(*arguments, satmae_reference.forward)


# How the numbers of each objective are computed again; the peer knows no spectral groups.
WAYS = {
    "mae": (("peer", peer_results), ("equations", mae_reference.expected)),
    "satmae": (("equations", satmae_results),),
}


def check(path: Path) -> bool:
    tensors, metadata = mae_reference.read_safetensors(path)
    ways = WAYS.get(metadata.get("objective"), ())
    if metadata.get("format") != "sherd-reference/1" or not ways:
        print(f"{path.name}: not a sherd-reference/1 file of {' or '.join(WAYS)}")
        return False
    config, optimizer = json.loads(metadata["config"]), json.loads(metadata["optimizer"])
    weights = {name.removeprefix("weights."): t for name, t in tensors.items() if name.startswith("weights.")}
    arguments = (config, optimizer, weights, tensors["input.images"], tensors["input.noise"])
    passed = True
    for label, results in ways:
        print(f"{path.name}: {label}")
        passed &= compare(tensors, results(*arguments))
    return passed


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    torch.set_num_threads(1)
    sys.exit(0 if all([check(Path(name)) for name in sys.argv[1:]]) else 1)


if __name__ == "__main__":
    main()
