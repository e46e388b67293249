"""Writes test/reference/objectives/vq-pixels.safetensors: a convolutional VQ-VAE (van den Oord et al. 2017) with a codebook of unit
vectors that moves by averages (TARGETS: the quantiser of BEiT v2), on normalised pixels.

Modules, gradients and AdamW are PyTorch's; the codebook is written out from the equations. No code of any step is within 1e-3 of
a tie, which the script checks.

    python3 scripts/reference/make_vq_pixels.py
"""

import json
from pathlib import Path

import torch
from mae_reference import write_safetensors
from torch import Tensor, nn
from torch.nn.functional import normalize

PATH = Path(__file__).resolve().parents[2] / "test" / "reference" / "objectives" / "vq-pixels.safetensors"
CONFIG = {
    "imageSize": [8, 16], "patchSize": 4, "channels": 3, "width": 12, "depth": 1, "decoderDepth": 2,
    "codes": 10, "codeWidth": 4, "decay": 0.9, "beta": 0.25,
}  # fmt: skip
OPTIMIZER = {"learningRate": 2e-3, "beta1": 0.9, "beta2": 0.99, "epsilon": 1e-8, "weightDecay": 0.01}
BATCH, STEPS, SEED, MARGIN = 4, 5, 5, 1e-3


class Residual(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(self.conv1(x.relu()).relu())


class Encoder(nn.Module):
    def __init__(self, channels: int, width: int, depth: int, output: int):
        super().__init__()
        self.down = nn.ModuleList([nn.Conv2d(channels, width // 2, 4, 2, 1), nn.Conv2d(width // 2, width, 4, 2, 1)])
        self.conv = nn.Conv2d(width, width, 3, padding=1)
        self.blocks = nn.ModuleList([Residual(width) for _ in range(depth)])
        self.out = nn.Conv2d(width, output, 1)

    def forward(self, x: Tensor) -> Tensor:
        for each in self.down:
            x = each(x).relu()
        x = self.conv(x)
        for block in self.blocks:
            x = block(x)
        return self.out(x.relu())


class Decoder(nn.Module):
    def __init__(self, channels: int, width: int, depth: int, given: int):
        super().__init__()
        self.add_module("in", nn.Conv2d(given, width, 3, padding=1))
        self.blocks = nn.ModuleList([Residual(width) for _ in range(depth)])
        self.up = nn.ModuleList(
            [nn.ConvTranspose2d(width, width // 2, 4, 2, 1), nn.ConvTranspose2d(width // 2, channels, 4, 2, 1)]
        )

    def forward(self, x: Tensor) -> Tensor:
        x = getattr(self, "in")(x)
        for block in self.blocks:
            x = block(x)
        return self.up[1](self.up[0](x.relu()).relu())


class Model(nn.Module):
    def __init__(self, c: dict):
        super().__init__()
        self.encoder = Encoder(c["channels"], c["width"], c["depth"], c["codeWidth"])
        self.decoder = Decoder(c["channels"], c["width"], c["decoderDepth"], c["codeWidth"])


def main() -> None:
    torch.manual_seed(SEED)
    c = CONFIG
    model = Model(c)
    codebook = normalize(torch.randn(c["codes"], c["codeWidth"]), dim=1)
    counts = torch.rand(c["codes"])
    images = torch.randn(STEPS, BATCH, c["channels"], *c["imageSize"])
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": OPTIMIZER["weightDecay"]},
            {"params": [p for p in model.parameters() if p.ndim == 1], "weight_decay": 0.0},
        ],
        lr=OPTIMIZER["learningRate"], betas=(OPTIMIZER["beta1"], OPTIMIZER["beta2"]), eps=OPTIMIZER["epsilon"],
    )  # fmt: skip
    tensors: dict[str, Tensor] = {
        **{f"weights.{name}": p.detach().clone() for name, p in model.named_parameters()},
        "state.quantize.embedding.weight": codebook.clone(),
        "state.quantize.cluster_size": counts.clone(),
        "input.images": images,
    }
    losses = []
    for step in range(STEPS):
        x = images[step]
        map = model.encoder(x)
        b, e, h, w = map.shape
        z = normalize(map.permute(0, 2, 3, 1).reshape(-1, e), dim=1)
        distances = (z.detach()[:, None] - codebook[None]).square().sum(2)
        codes = distances.argmin(1)
        nearest = distances.sort(1).values
        assert (nearest[:, 1] - nearest[:, 0]).min() > MARGIN, "a code is close to a tie: take another seed"
        chosen = codebook[codes]
        commit = c["beta"] * (z - chosen).square().mean()
        passed = z + (chosen - z).detach()
        decoded = model.decoder(passed.reshape(b, h, w, e).permute(0, 3, 1, 2))
        reconstruction = (decoded - x).square().mean()
        loss = reconstruction + commit
        optimizer.zero_grad()
        loss.backward()
        if step == 0:
            tensors["expected.loss"] = loss.detach()
            tensors["expected.part.commit"] = commit.detach()
            tensors["expected.part.reconstruction"] = reconstruction.detach()
            tensors["expected.out.codes"] = codes.reshape(b, h * w)
            tensors["expected.out.decoded"] = decoded.detach()
            for name, p in model.named_parameters():
                tensors[f"expected.grad.{name}"] = p.grad.clone()
        losses.append(loss.detach())
        optimizer.step()
        with torch.no_grad():
            uses = torch.zeros(c["codes"]).index_add(0, codes, torch.ones(len(codes)))
            sums = torch.zeros_like(codebook).index_add(0, codes, z)
            means = torch.where(uses[:, None] > 0, normalize(sums / uses.clamp(min=1)[:, None], dim=1), codebook)
            counts = c["decay"] * counts + (1 - c["decay"]) * uses
            codebook = normalize(c["decay"] * codebook + (1 - c["decay"]) * means, dim=1)
    tensors["expected.losses"] = torch.stack(losses)
    for name, p in model.named_parameters():
        tensors[f"expected.final.{name}"] = p.detach().clone()
    tensors["expected.finalState.quantize.embedding.weight"] = codebook
    tensors["expected.finalState.quantize.cluster_size"] = counts
    write_safetensors(
        PATH,
        tensors,
        {
            "format": "sherd-reference/2", "objective": "vq-pixels",
            "config": json.dumps(CONFIG), "optimizer": json.dumps(OPTIMIZER),
        },
    )  # fmt: skip


if __name__ == "__main__":
    main()
