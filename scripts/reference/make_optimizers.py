"""
Writes test/optim/optimizers-reference.json: what PyTorch's optimizers make of gradients that are given, in double precision, for
test/optim/optimizers.test.ts. LARS is written out here from You et al. 2017 with the conventions of MAE's util/lars.py and MoCo v3's
moco/optimizer.py. Needs PyTorch (made with 2.14.1):

    python3 scripts/reference/make_optimizers.py

Parameters: matrix [2, 3], vector [3], kernel [2, 1, 2, 2], late [2, 2], slow [2, 2], off [2, 2]. In every case the rate changes from step to
step, vectors do not decay, `late` has no gradient in steps 0 and 2, `slow` learns at a quarter of the rate with half of the decay, and `off` is
frozen with rate 0 for two steps. `clip` is none, all, tensor, or row (matrix and vector together; the others together).
"""
import json
import pathlib

import torch

SHAPES = {"matrix": [2, 3], "vector": [3], "kernel": [2, 1, 2, 2], "late": [2, 2], "slow": [2, 2], "off": [2, 2]}
RATES = [0.1, 0.05, 0.2, 0.02, 0.1]
DECAY, LARGEST = 0.3, 0.8
BETAS, EPSILON, MOMENTUM, TRUST = (0.9, 0.95), 1e-3, 0.9, 0.001


def draw(shape, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.round(torch.randn(shape, generator=generator, dtype=torch.float64) * 64) / 64


class Lars(torch.optim.Optimizer):
    def __init__(self, groups):
        super().__init__(groups, {"lr": 0.0, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for w in group["params"]:
                if w.grad is None:
                    continue
                d = w.grad
                if w.ndim > 1:
                    d = d + group["weight_decay"] * w
                    size, change = torch.linalg.vector_norm(w), torch.linalg.vector_norm(d)
                    if size > 0 and change > 0:
                        d = d * (TRUST * size / change)
                state = self.state[w]
                velocity = state.setdefault("momentum_buffer", torch.zeros_like(w))
                velocity.mul_(MOMENTUM).add_(d)
                w.sub_(velocity, alpha=group["lr"])


MAKE = {
    "adamw": lambda groups: torch.optim.AdamW(groups, betas=BETAS, eps=EPSILON),
    "adam": lambda groups: torch.optim.Adam(groups, betas=BETAS, eps=EPSILON),
    "lars": Lars,
    "sgd": lambda groups: torch.optim.SGD(groups, lr=0.0, momentum=MOMENTUM),
}
start = {name: draw(shape, i) for i, (name, shape) in enumerate(SHAPES.items())}
start["kernel"].zero_()  # LARS: a norm of 0
gradients = [
    {name: draw(shape, 100 * (step + 1) + i) for i, (name, shape) in enumerate(SHAPES.items())}
    for step in range(len(RATES))
]
for step in (0, 2):
    gradients[step]["late"] = None
gradients[1]["slow"].zero_()


def clip(kind, parameters):
    groups = {
        "none": [],
        "all": [list(parameters)],
        "tensor": [[name] for name in parameters],
        "row": [["matrix", "vector"], ["kernel", "late", "slow", "off"]],
    }[kind]
    for names in groups:
        torch.nn.utils.clip_grad_norm_([parameters[name] for name in names], LARGEST)


def run(optimizer, kind):
    parameters = {name: torch.nn.Parameter(value.clone()) for name, value in start.items()}
    rows = [
        {"params": [p], "name": name, "weight_decay": DECAY * {"vector": 0, "slow": 0.5}.get(name, 1)}
        for name, p in parameters.items()
    ]
    made = MAKE[optimizer](rows)
    norms = []
    for step, rate in enumerate(RATES):
        for name, p in parameters.items():
            g = gradients[step][name]
            p.grad = None if g is None else g.clone()
        norms.append(torch.linalg.vector_norm(torch.stack([p.grad.norm() for p in parameters.values() if p.grad is not None])).item())
        clip(kind, parameters)
        for group in made.param_groups:
            scale = {"slow": 0.25, "off": 0.0 if step < 2 else 1.0}.get(group["name"], 1)
            group["lr"] = rate * scale
        made.step()
    flat = lambda values: {name: value.detach().flatten().tolist() for name, value in values.items()}
    slots = [key for key, value in made.state[parameters["matrix"]].items() if getattr(value, "ndim", 0) > 0]
    return {
        "optimizer": optimizer,
        "clip": kind,
        "norms": norms,
        "final": flat(parameters),
        "slots": {slot: flat({name: made.state[p][slot] for name, p in parameters.items()}) for slot in slots},
    }


def rounded(value):
    if isinstance(value, float):
        return float(f"{value:.9g}")
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return {key: rounded(each) for key, each in value.items()} if isinstance(value, dict) else value


cases = [run(optimizer, kind) for optimizer in MAKE for kind in ("none", "all", "tensor", "row")]
flat = lambda x: None if x is None else x.flatten().tolist()
reference = {
    "shapes": SHAPES,
    "rates": RATES,
    "weightDecay": DECAY,
    "largestNorm": LARGEST,
    "options": {"beta1": BETAS[0], "beta2": BETAS[1], "epsilon": EPSILON, "momentum": MOMENTUM, "trustCoefficient": TRUST},
    "start": {name: flat(value) for name, value in start.items()},
    "gradients": [{name: flat(g) for name, g in step.items()} for step in gradients],
    "cases": cases,
}
path = pathlib.Path(__file__).parents[2] / "test/optim/optimizers-reference.json"
path.write_text(json.dumps(rounded(reference)) + "\n")
print(path, path.stat().st_size)
