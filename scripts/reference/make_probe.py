"""Writes test/evaluate/probe-reference.json: a linear probe as PyTorch trains it, step by step.

BatchNorm1d without affine parameters, nn.Linear, autograd and cross-entropy are PyTorch's. LARS is written here from its
paper (You et al. 2017) with the conventions of MAE's probe: momentum 0.9, trust coefficient 0.001, no weight decay, and
one-dimensional parameters stepped by plain momentum. Run: python3 scripts/reference/make_probe.py
"""
import json
import math
import os

import torch

torch.manual_seed(0)
torch.set_num_threads(1)
N, D, C, EPOCHS = 12, 5, 3, 18
x = torch.randn(N, D, dtype=torch.float64) * torch.tensor([1.0, 2, 0.5, 3, 1], dtype=torch.float64) + 1
labels = torch.arange(N) % C
x += labels[:, None] * 0.5
start = torch.randn(C, D, dtype=torch.float64) * 0.01
test = torch.randn(4, D, dtype=torch.float64)


def train(optimizer, base):
    norm = torch.nn.BatchNorm1d(D, affine=False, eps=1e-6).double()
    linear = torch.nn.Linear(D, C).double()
    with torch.no_grad():
        linear.weight.copy_(start)
        linear.bias.zero_()
    velocity = {name: torch.zeros_like(p) for name, p in linear.named_parameters()}
    warm_up = int(EPOCHS / 9)
    for step in range(EPOCHS):  # one batch is the whole set
        if step < warm_up:
            schedule = step / warm_up
        else:
            schedule = 0.5 * (1 + math.cos(math.pi * (step - warm_up) / (EPOCHS - warm_up)))
        rate = base * schedule * N / 256
        loss = torch.nn.functional.cross_entropy(linear(norm(x)), labels)
        linear.zero_grad()
        loss.backward()
        with torch.no_grad():
            for name, p in linear.named_parameters():
                update = p.grad
                if optimizer == "lars" and p.ndim > 1:
                    size, change = p.norm(), update.norm()
                    update = update * (0.001 * size / change)
                velocity[name] = 0.9 * velocity[name] + update
                p -= rate * velocity[name]
    norm.eval()
    return {
        "optimizer": optimizer,
        "rate": base,
        "weight": linear.weight.flatten().tolist(),
        "bias": linear.bias.tolist(),
        "runningMean": norm.running_mean.tolist(),
        "runningVariance": norm.running_var.tolist(),
        "values": linear(norm(test)).flatten().tolist(),
    }


reference = {
    "shape": {"N": N, "D": D, "C": C, "epochs": EPOCHS},
    "x": x.flatten().tolist(),
    "labels": labels.tolist(),
    "start": start.flatten().tolist(),
    "test": test.flatten().tolist(),
    "runs": [train(o, r) for o, r in [("lars", 1.0), ("lars", 10.0), ("sgd", 0.5), ("sgd", 5.0)]],
}
path = os.path.join(os.path.dirname(__file__), "..", "..", "test", "evaluate", "probe-reference.json")
with open(path, "w") as file:
    json.dump(reference, file)
    file.write("\n")
