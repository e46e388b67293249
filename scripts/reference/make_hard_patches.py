"""Writes test/reference/hard-patches.json: what PyTorch makes of the equations of hard patches (Wang et al. 2023).

The loss of the predictor, pair by pair in float64, with its gradient by autograd, and the mask of a share of the hardest patches, patch by
patch. Both are written from the equations, without what tensors would make of them.

    ENV/bin/python scripts/reference/make_hard_patches.py && npx biome check --write test/reference/hard-patches.json
"""

import json
import math
from pathlib import Path

import torch
from torch import Tensor

PATH = Path(__file__).resolve().parents[2] / "test" / "reference" / "hard-patches.json"
BATCH, HIDDEN, TOKENS = 3, 7, 12


def pair_loss(predicted: Tensor, losses: Tensor) -> Tensor:
    """Mean over the pairs of one image, and over images: how little the harder patch of a pair is known as such."""
    terms = []
    for said, true in zip(predicted, losses, strict=True):
        for i in range(len(true)):
            for j in range(len(true)):
                if true[i] > true[j]:
                    terms.append(-torch.log(torch.sigmoid(said[i] - said[j]) + 1e-6))
    return torch.stack(terms).mean()


def hard_mask(losses: list[float], noise: list[float], hidden: int, share: float) -> list[int]:
    """1 for the hardest, and for others by noise."""
    hardest = sorted(range(len(losses)), key=lambda n: -losses[n])[: math.floor(hidden * share)]
    others = sorted((n for n in range(len(losses)) if n not in hardest), key=lambda n: -noise[n])
    chosen = hardest + others[: hidden - len(hardest)]
    return [int(n in chosen) for n in range(len(losses))]


def main() -> None:
    torch.manual_seed(5)
    # Rounded to float32 first, so that both sides see the same numbers.
    predicted = torch.randn(BATCH, HIDDEN).double().requires_grad_()
    losses = torch.rand(BATCH, HIDDEN).double()
    loss = pair_loss(predicted, losses)
    loss.backward()
    scores, noise = torch.randn(BATCH, TOKENS), torch.rand(BATCH, TOKENS)
    shares = [0, 0.2, 0.34, 0.5, 1]
    masks = {
        str(share): [hard_mask(s, n, 8, share) for s, n in zip(scores.tolist(), noise.tolist(), strict=True)]
        for share in shares
    }
    PATH.write_text(
        json.dumps(
            {
                "relative": {
                    "predicted": predicted.tolist(),
                    "losses": losses.tolist(),
                    "loss": loss.item(),
                    "gradient": predicted.grad.tolist(),
                },
                "mask": {"losses": scores.tolist(), "noise": noise.tolist(), "hidden": 8, "masks": masks},
            }
        )
    )


main()
