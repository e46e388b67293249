"""Writes test/reference/objectives/toy.safetensors: what the toy objective of the tests (test/objective/toy.ts) computes.

Two views of each sample; a momentum encoder that moves before the loss, a teacher that moves after the step; batch norm
with running statistics; a codebook that k-means begins and an average keeps; a bias that is frozen at first, a projection
that is never learned, a parameter that no loss reaches; rates, decay and momentum by step. Written from the equations in
float32; gradients and AdamW are PyTorch's.

    python3 scripts/reference/make_toy.py
"""

import json
from pathlib import Path

import torch
from mae_reference import (
    Tensors,
    block,
    block_shapes,
    grid,
    layer_norm,
    linear,
    patchify,
    positions,
    random_weights,
    write_safetensors,
)
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

PATH = Path(__file__).resolve().parents[2] / "test" / "reference" / "objectives" / "toy.safetensors"
CONFIG = {
    "imageSize": [6, 10], "patchSize": 2, "channels": 3, "width": 12, "depth": 1, "heads": 3, "mlpRatio": 2,
    "embedding": 8, "codes": 4, "momentum": [0.5, 0.6, 0.8, 0.95], "frozenSteps": 2, "microBatches": 3,
}  # fmt: skip
OPTIMIZER = {
    "name": "adamw", "beta1": 0.9, "beta2": 0.95, "epsilon": 1e-6, "learningRate": [5e-4, 1e-3, 2e-3, 1e-3],
    "weightDecay": [0.05, 0.1, 0.2, 0.4], "noDecay": ["projector.weight", "head.weight"], "clipNorm": 0.5,
}  # fmt: skip
BATCH, STEPS, SEED = 6, 4, 3


def encoder_shapes() -> dict[str, tuple[int, ...]]:
    c, p, d = (CONFIG[key] for key in ("channels", "patchSize", "width"))
    shapes: dict[str, tuple[int, ...]] = {
        "patch_embed.proj.weight": (d, c, p, p),
        "patch_embed.proj.bias": (d,),
        "cls_token": (1, 1, d),
    }
    for i in range(CONFIG["depth"]):
        shapes |= block_shapes(f"blocks.{i}", d, d * CONFIG["mlpRatio"])
    return shapes | {"norm.weight": (d,), "norm.bias": (d,)}


def linear_shapes(name: str, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def encode(w: Tensors, images: Tensor) -> Tensor:
    """[B, D]: the mean of all tokens after the norm, cls included."""
    patches = patchify(images, CONFIG["patchSize"])
    x = torch.einsum("bnyxc,dcyx->bnd", patches, w["patch_embed.proj.weight"]) + w["patch_embed.proj.bias"]
    x = x + positions(CONFIG["width"], *grid(CONFIG))
    x = torch.cat([w["cls_token"].expand(len(x), 1, -1), x], dim=1)
    for i in range(CONFIG["depth"]):
        x = block(w, f"blocks.{i}", x, CONFIG["heads"], 1e-6)
    return layer_norm(w, "norm", x, 1e-6).mean(dim=1)


def project(w: Tensors, name: str, x: Tensor) -> Tensor:
    return linear(w, name, x[None])[0]


def normalise(x: Tensor) -> Tensor:
    """Over the batch, biased."""
    centred = x - x.mean(dim=0)
    return centred / torch.sqrt((centred * centred).mean(dim=0) + 1e-5)


def contrast(queries: Tensor, keys: Tensor) -> Tensor:
    def unit(x: Tensor) -> Tensor:
        return x / torch.sqrt((x * x).sum(dim=1, keepdim=True) + 1e-8)

    return cross_entropy(unit(queries) @ unit(keys).T / 0.5, torch.arange(len(queries)))


def nearest(x: Tensor, codebook: Tensor) -> Tensor:
    distances = ((x[:, None] - codebook) ** 2).sum(dim=2)
    best = distances.sort(dim=1).values
    assert (best[:, 1] - best[:, 0]).min() > 1e-3, "a code is nearly tied: take another seed"
    return distances.argmin(dim=1)


def counts_and_sums(x: Tensor, codebook: Tensor) -> tuple[Tensor, Tensor]:
    hot = one_hot(nearest(x, codebook), len(codebook)).float()
    return hot.sum(dim=0)[:, None], hot.T @ x


def cluster(x: Tensor) -> Tensor:
    """Three rounds of k-means from the first rows; a code without rows stays."""
    codebook = x[: CONFIG["codes"]]
    for _ in range(3):
        counts, sums = counts_and_sums(x, codebook)
        codebook = torch.where(counts > 0, sums / counts.clamp(min=1), codebook)
    return codebook


def losses_of(w: Tensors, nets: dict[str, Tensors], state: Tensors, views: Tensor, factors: Tensor) -> Tensors:
    one, other = (encode(w, view) * factors for view in views)
    with torch.no_grad():
        key_one, key_other = (
            project(nets["momentum"], "projector", encode(nets["momentum"], view)) for view in views
        )
        taught = encode(nets["teacher"], views[0])
    a, b = project(w, "projector", one), project(w, "projector", other)
    codes = nearest(a.detach(), state["codebook"])
    parts = {
        "contrast": contrast(project(w, "predictor", normalise(a)), normalise(key_other))
        + contrast(project(w, "predictor", normalise(b)), normalise(key_one)),
        "commitment": ((a - state["codebook"][codes]) ** 2).mean(),
        "teacher": ((a - taught @ w["random.weight"].T) ** 2).mean(),
    }
    loss = parts["contrast"] + 0.25 * parts["commitment"] + 0.1 * parts["teacher"]
    outputs = {"one": one, "other": other, "keyOne": key_one, "keyOther": key_other, "taught": taught}
    return {
        "loss": loss,
        **{f"part.{name}": part for name, part in parts.items()},
        **{f"out.{name}": each for name, each in outputs.items()},
        "out.codes": codes,
        "rows": a.detach(),
    }


def update(state: Tensors, rows: Tensor) -> Tensors:
    counts, sums = counts_and_sums(rows, state["codebook"])
    means = sums / counts.clamp(min=1)
    return {
        "running.mean": 0.9 * state["running.mean"] + 0.1 * rows.mean(dim=0),
        "running.variance": 0.9 * state["running.variance"] + 0.1 * rows.var(dim=0, unbiased=True),
        "codebook": torch.where(
            counts > 0, 0.8 * state["codebook"] + 0.2 * means, state["codebook"]
        ),
    }


def move(average: Tensors, w: Tensors, momentum: float) -> None:
    for name in average:
        average[name] = momentum * average[name] + (1 - momentum) * w[name].detach()


def main() -> None:
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    generator = torch.Generator().manual_seed(SEED)
    d, e = CONFIG["width"], CONFIG["embedding"]
    encoder, projector = encoder_shapes(), linear_shapes("projector", d, e)
    shapes = encoder | projector | linear_shapes("predictor", e, e)
    shapes |= {"random.weight": (e, d), "idle.weight": (2, 2)}
    weights = random_weights(CONFIG, generator, shapes)
    nets = {
        "momentum": random_weights(CONFIG, generator, encoder | projector),
        "teacher": random_weights(CONFIG, generator, encoder),
    }
    state = {
        "running.mean": 0.1 * torch.randn(e, generator=generator),
        "running.variance": 1 + torch.rand(e, generator=generator),
    }
    views = torch.randn(2, BATCH, CONFIG["channels"], *CONFIG["imageSize"], generator=generator)
    factors = 0.75 + 0.5 * torch.rand(STEPS, BATCH, 1, generator=generator)

    tensors = {f"weights.{name}": x for name, x in weights.items()}
    tensors |= {f"teacher.momentum.{name}": x for name, x in nets["momentum"].items()}
    tensors |= {f"teacher.{name}": x for name, x in nets["teacher"].items()}
    tensors |= {f"state.{name}": x for name, x in state.items()}
    tensors |= {"input.views": views, "input.factors": factors}

    w = {name: x.clone().requires_grad_(name != "random.weight") for name, x in weights.items()}
    learned = {name: x for name, x in w.items() if x.requires_grad}
    decays = {
        name: x.ndim >= 2 and name not in OPTIMIZER["noDecay"] for name, x in learned.items()
    }
    adamw = torch.optim.AdamW(
        [{"params": [x for name, x in learned.items() if decays[name] == which]} for which in (True, False)],
        betas=(OPTIMIZER["beta1"], OPTIMIZER["beta2"]),
        eps=OPTIMIZER["epsilon"],
    )
    steps: list[Tensors] = []
    for step in range(STEPS):
        move(nets["momentum"], w, CONFIG["momentum"][step])
        if step == 0:
            with torch.no_grad():
                state["codebook"] = cluster(project(w, "projector", encode(w, views[0])))
        outputs = losses_of(w, nets, state, views, factors[step])
        adamw.zero_grad(set_to_none=True)
        outputs["loss"].backward()
        if step == 0:
            tensors |= {f"expected.{name}": x.detach() for name, x in outputs.items() if "out." in name}
            tensors["expected.loss"] = outputs["loss"].detach()
            tensors |= {
                f"expected.grad.{name}": x.grad.clone() for name, x in learned.items() if x.grad is not None
            }
        steps.append({name: x.detach() for name, x in outputs.items() if name == "loss" or "part." in name})
        if step < CONFIG["frozenSteps"]:
            w["predictor.bias"].grad = None  # no moment, no count, and no share in the norm
        torch.nn.utils.clip_grad_norm_(learned.values(), OPTIMIZER["clipNorm"])
        for group, decay in zip(adamw.param_groups, (OPTIMIZER["weightDecay"][step], 0.0), strict=True):
            group["lr"], group["weight_decay"] = OPTIMIZER["learningRate"][step], decay
        adamw.step()
        state = update(state, outputs["rows"])
        move(nets["teacher"], w, 0.7)

    for name in ("part.contrast", "part.commitment", "part.teacher"):
        tensors[f"expected.{name}"] = torch.stack([each[name] for each in steps])
    tensors["expected.losses"] = torch.stack([each["loss"] for each in steps])
    tensors |= {f"expected.final.{name}": x.detach() for name, x in learned.items()}
    tensors |= {f"expected.finalTeacher.momentum.{name}": x for name, x in nets["momentum"].items()}
    tensors |= {f"expected.finalTeacher.{name}": x for name, x in nets["teacher"].items()}
    tensors |= {f"expected.finalState.{name}": x for name, x in state.items()}
    PATH.parent.mkdir(exist_ok=True)
    metadata = {"config": json.dumps(CONFIG), "optimizer": json.dumps(OPTIMIZER)}
    write_safetensors(PATH, tensors, {"format": "sherd-reference/2", "objective": "toy", **metadata})
    print(f"{PATH.relative_to(PATH.parents[3])}  {PATH.stat().st_size:,} bytes; losses {tensors['expected.losses'].tolist()}")


if __name__ == "__main__":
    main()
