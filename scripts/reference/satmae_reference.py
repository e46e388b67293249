"""Writes a reference file of objective satmae: a masked autoencoder over spectral groups (Cong et al. 2022, section 3.2).

The groups' forward pass is written out token by token and band by band, with loops where the checked program gathers, so that
the two have nothing in common but the equations. Blocks are those of mae_reference.py; gradients and AdamW are PyTorch's.

    python3 scripts/reference/satmae_reference.py '{..., "spectral": {"groups": [[2, 0], [3]], "groupWidth": 8,
      "decoderGroupWidth": 4, "isConsistent": false, "statistics": "group"}}' out.safetensors 1
"""

import argparse
import json
import math
from pathlib import Path

import torch
from torch import Tensor

import mae_reference
from mae_reference import OPTIMIZER, Tensors, block, grid, layer_norm, linear, positions, random_weights, write_safetensors


def parameter_shapes(config: dict) -> dict[str, tuple[int, ...]]:
    """Every parameter under its name in the released checkpoints: an embedding and a head for each group."""
    p, d, e = (config[key] for key in ("patchSize", "width", "decoderWidth"))
    shapes = {
        name: shape
        for name, shape in mae_reference.parameter_shapes(config).items()
        if not name.startswith(("patch_embed.", "decoder_pred."))
    }
    for g, bands in enumerate(config["spectral"]["groups"]):
        shapes |= {f"patch_embed.{g}.proj.weight": (d, len(bands), p, p), f"patch_embed.{g}.proj.bias": (d,)}
        shapes |= {
            f"decoder_pred.{g}.weight": (p * p * len(bands), e),
            f"decoder_pred.{g}.bias": (p * p * len(bands),),
        }
    return shapes


def group_encoding(g: int, width: int) -> Tensor:
    half = width // 2
    angles = [g * 10000 ** (-k / half) for k in range(half)]
    return torch.tensor([math.sin(a) for a in angles] + [math.cos(a) for a in angles])


def token_positions(config: dict, width: int, own: int) -> Tensor:
    """[G * L, width]: the place, then the group."""
    places = positions(width - own, *grid(config))
    groups = len(config["spectral"]["groups"])
    return torch.cat([torch.cat([places, group_encoding(g, own).expand(len(places), own)], 1) for g in range(groups)])


def band_patch(images: Tensor, band: int, row: int, column: int, p: int) -> Tensor:
    """[B, P, P], the pixels of one band at one place."""
    return images[:, band, row * p : (row + 1) * p, column * p : (column + 1) * p]


def normalised(values: Tensor) -> Tensor:
    """Values [B, n], each row by its own mean and unbiased variance."""
    centred = values - values.mean(dim=1, keepdim=True)
    variance = (centred * centred).sum(dim=1, keepdim=True) / (values.shape[1] - 1)
    return centred / torch.sqrt(variance + 1e-6)


def target_of(config: dict, images: Tensor, g: int, row: int, column: int) -> Tensor:
    """[B, P, P, |g|], what the head of group g should say at one place."""
    p, spectral = config["patchSize"], config["spectral"]
    bands = spectral["groups"][g]
    cut = lambda which: torch.stack([band_patch(images, band, row, column, p) for band in which], dim=3)
    own = cut(bands)
    if not config["normalizeTarget"]:
        return own
    b = len(images)
    if spectral["statistics"] == "group":
        return normalised(own.reshape(b, -1)).reshape(own.shape)
    if spectral["statistics"] == "band":
        return torch.stack(
            [normalised(own[..., i].reshape(b, -1)).reshape(b, p, p) for i in range(len(bands))], dim=3
        )
    every = cut(range(config["channels"])).reshape(b, -1)
    mean = every.mean(dim=1)[:, None, None, None]
    variance = ((every - every.mean(dim=1, keepdim=True)) ** 2).sum(dim=1) / (every.shape[1] - 1)
    return (own - mean) / torch.sqrt(variance[:, None, None, None] + 1e-6)


def forward(w: Tensors, config: dict, images: Tensor, noise: Tensor) -> Tensors:
    """loss, pred [B, L, P * P * C] by band, mask [B, G * L] and latent [B, 1 + K, D]."""
    rows, columns = grid(config)
    locations = rows * columns
    p, d, e = config["patchSize"], config["width"], config["decoderWidth"]
    spectral = config["spectral"]
    groups = spectral["groups"]
    epsilon = config.get("layerNormEpsilon", 1e-6)
    b = len(images)

    order = torch.sort(noise, dim=1, stable=True).indices
    keep = math.floor(noise.shape[1] * (1 - config["maskRatio"]))
    if spectral["isConsistent"]:
        kept = torch.cat([order[:, :keep] + g * locations for g in range(len(groups))], dim=1)
    else:
        kept = order[:, :keep]
    mask = torch.ones(b, len(groups) * locations).scatter(1, kept, 0.0)

    tokens = []
    for g, bands in enumerate(groups):
        for l in range(locations):
            own = torch.stack([band_patch(images, band, l // columns, l % columns, p) for band in bands], dim=1)
            kernel = w[f"patch_embed.{g}.proj.weight"]
            tokens.append(torch.einsum("bcyx,dcyx->bd", own, kernel) + w[f"patch_embed.{g}.proj.bias"])
    x = torch.stack(tokens, dim=1) + token_positions(config, d, spectral["groupWidth"])
    x = torch.stack([x[i, kept[i]] for i in range(b)])
    x = torch.cat([w["cls_token"].expand(b, 1, d), x], dim=1)
    for i in range(config["depth"]):
        x = block(w, f"blocks.{i}", x, config["heads"], epsilon)
    latent = layer_norm(w, "norm", x, epsilon)

    x = linear(w, "decoder_embed", latent)
    full = w["mask_token"].expand(b, len(groups) * locations, e)
    full = full.scatter(1, kept[:, :, None].expand(*kept.shape, e), x[:, 1:])
    x = torch.cat([x[:, :1], full + token_positions(config, e, spectral["decoderGroupWidth"])], dim=1)
    for i in range(config["decoderDepth"]):
        x = block(w, f"decoder_blocks.{i}", x, config["decoderHeads"], epsilon)
    x = layer_norm(w, "decoder_norm", x, epsilon)[:, 1:]

    pred = [[torch.zeros(b, p, p)] * config["channels"] for _ in range(locations)]
    error = torch.zeros(())
    for g, bands in enumerate(groups):
        for l in range(locations):
            token = g * locations + l
            said = linear(w, f"decoder_pred.{g}", x[:, token : token + 1])[:, 0].reshape(b, p, p, len(bands))
            for i, band in enumerate(bands):
                pred[l] = [said[..., i] if c == band else known for c, known in enumerate(pred[l])]
            squares = (said - target_of(config, images, g, l // columns, l % columns)) ** 2
            error = error + (squares.reshape(b, -1).mean(dim=1) * mask[:, token]).sum()
    by_band = torch.stack([torch.stack(bands, dim=3) for bands in pred], dim=1)
    return {"loss": error / mask.sum(), "pred": by_band.flatten(2), "mask": mask, "latent": latent}


def write_reference(config: dict, path: Path, seed: int, batch: int = 2, steps: int = 10, optimizer: dict | None = None) -> None:
    optimizer = OPTIMIZER | (optimizer or {})
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    generator = torch.Generator().manual_seed(seed)
    rows, columns = grid(config)
    weights = random_weights(config, generator, parameter_shapes(config))
    images = torch.randn(batch, config["channels"], *config["imageSize"], generator=generator)
    images *= torch.linspace(0.5, 2, config["channels"])[None, :, None, None]  # bands of different variance
    noised = rows * columns * (1 if config["spectral"]["isConsistent"] else len(config["spectral"]["groups"]))
    noise = torch.rand(steps, batch, noised, generator=generator)
    tensors = {f"weights.{name}": tensor for name, tensor in weights.items()}
    tensors |= {"input.images": images, "input.noise": noise}
    tensors |= mae_reference.expected(config, optimizer, weights, images, noise, forward)
    metadata = {
        "format": "sherd-reference/1",
        "objective": "satmae",
        "config": json.dumps(config),
        "optimizer": json.dumps(optimizer),
    }
    write_safetensors(path, tensors, metadata)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=json.loads)
    parser.add_argument("path", type=Path)
    parser.add_argument("seed", type=int)
    write_reference(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
