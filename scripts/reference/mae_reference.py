"""Writes a reference file: a small masked autoencoder's weights and input, and what it computes from them.

The forward pass is written out from the equations (He et al. 2021) on a dictionary of tensors, so that it shares
no code with the models it checks. Gradients and AdamW are PyTorch's. float32, one thread, deterministic.

    python3 scripts/reference/mae_reference.py '{"imageSize":[12,20],"patchSize":4,"channels":1,"width":24,
      "depth":2,"heads":3,"decoderWidth":16,"decoderDepth":1,"decoderHeads":2,"mlpRatio":4,"maskRatio":0.6,
      "normalizeTarget":true}' out.safetensors 1
"""

import argparse
import json
import math
from pathlib import Path

import numpy
import torch
from torch import Tensor

Tensors = dict[str, Tensor]

OPTIMIZER = {"learningRate": 1e-3, "beta1": 0.9, "beta2": 0.95, "epsilon": 1e-8, "weightDecay": 0.05}


# --- The parameters ---------------------------------------------------------------------------------------------


def grid(config: dict) -> tuple[int, int]:
    """Rows and columns of patches."""
    height, width = config["imageSize"]
    return height // config["patchSize"], width // config["patchSize"]


def block_shapes(prefix: str, width: int, hidden: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for norm in ("norm1", "norm2"):
        shapes |= {f"{norm}.weight": (width,), f"{norm}.bias": (width,)}
    linears = {
        "attn.qkv": (3 * width, width),
        "attn.proj": (width, width),
        "mlp.fc1": (hidden, width),
        "mlp.fc2": (width, hidden),
    }
    for linear, (outputs, inputs) in linears.items():
        shapes |= {f"{linear}.weight": (outputs, inputs), f"{linear}.bias": (outputs,)}
    return {f"{prefix}.{name}": shape for name, shape in shapes.items()}


def parameter_shapes(config: dict) -> dict[str, tuple[int, ...]]:
    """Every parameter under its name in the reference checkpoints."""
    c, p, d, e = (config[key] for key in ("channels", "patchSize", "width", "decoderWidth"))
    ratio = config["mlpRatio"]
    shapes = {"patch_embed.proj.weight": (d, c, p, p), "patch_embed.proj.bias": (d,), "cls_token": (1, 1, d)}
    for i in range(config["depth"]):
        shapes |= block_shapes(f"blocks.{i}", d, int(d * ratio))
    shapes |= {"norm.weight": (d,), "norm.bias": (d,)}
    shapes |= {"decoder_embed.weight": (e, d), "decoder_embed.bias": (e,), "mask_token": (1, 1, e)}
    for i in range(config["decoderDepth"]):
        shapes |= block_shapes(f"decoder_blocks.{i}", e, int(e * ratio))
    shapes |= {"decoder_norm.weight": (e,), "decoder_norm.bias": (e,)}
    return shapes | {"decoder_pred.weight": (p * p * c, e), "decoder_pred.bias": (p * p * c,)}


def random_weights(
    config: dict, generator: torch.Generator, shapes: dict[str, tuple[int, ...]] | None = None
) -> Tensors:
    """Xavier-uniform linear maps; every other parameter random too, so that no two can be swapped unnoticed."""

    def draw(name: str, shape: tuple[int, ...]) -> Tensor:
        if name in ("cls_token", "mask_token"):
            return 0.5 * torch.randn(shape, generator=generator)
        if len(shape) >= 2:
            outputs, inputs = shape[0], math.prod(shape[1:])
            return (2 * torch.rand(shape, generator=generator) - 1) * math.sqrt(6 / (inputs + outputs))
        noise = 0.1 * torch.randn(shape, generator=generator)
        return 1 + noise if "norm" in name and name.endswith("weight") else noise

    return {name: draw(name, shape) for name, shape in (shapes or parameter_shapes(config)).items()}


# --- The equations ----------------------------------------------------------------------------------------------


def positions(width: int, rows: int, columns: int) -> Tensor:
    """[rows * columns, width]: half for the column, half for the row; each all sines, then all cosines."""
    quarter = width // 4
    table = numpy.zeros((rows, columns, width))
    for k in range(quarter):
        frequency = 10000 ** (-k / quarter)
        column = numpy.arange(columns)[None, :] * frequency
        row = numpy.arange(rows)[:, None] * frequency
        table[:, :, k], table[:, :, quarter + k] = numpy.sin(column), numpy.cos(column)
        table[:, :, 2 * quarter + k], table[:, :, 3 * quarter + k] = numpy.sin(row), numpy.cos(row)
    return torch.from_numpy(table.reshape(rows * columns, width)).float()


def patchify(images: Tensor, p: int) -> Tensor:
    """[B, C, H, W] -> [B, N, P, P, C]."""
    b, c, h, w = images.shape
    x = images.reshape(b, c, h // p, p, w // p, p)
    return torch.einsum("bcrymx->brmyxc", x).reshape(b, -1, p, p, c)


def linear(w: Tensors, name: str, x: Tensor) -> Tensor:
    return torch.einsum("btd,ed->bte", x, w[f"{name}.weight"]) + w[f"{name}.bias"]


def layer_norm(w: Tensors, name: str, x: Tensor, epsilon: float) -> Tensor:
    centred = x - x.mean(dim=-1, keepdim=True)
    variance = (centred * centred).mean(dim=-1, keepdim=True)
    return centred / torch.sqrt(variance + epsilon) * w[f"{name}.weight"] + w[f"{name}.bias"]


def attention(w: Tensors, name: str, x: Tensor, heads: int) -> Tensor:
    b, t, d = x.shape
    query, key, value = linear(w, f"{name}.qkv", x).reshape(b, t, 3, heads, d // heads).unbind(dim=2)
    scores = torch.einsum("bqhc,bkhc->bhqk", query, key) / math.sqrt(d // heads)
    weights = torch.exp(scores - scores.amax(dim=-1, keepdim=True).detach())
    weights = weights / weights.sum(dim=-1, keepdim=True)
    return linear(w, f"{name}.proj", torch.einsum("bhqk,bkhc->bqhc", weights, value).reshape(b, t, d))


def block(w: Tensors, name: str, x: Tensor, heads: int, epsilon: float) -> Tensor:
    x = x + attention(w, f"{name}.attn", layer_norm(w, f"{name}.norm1", x, epsilon), heads)
    hidden = linear(w, f"{name}.mlp.fc1", layer_norm(w, f"{name}.norm2", x, epsilon))
    gelu = hidden * (1 + torch.erf(hidden / math.sqrt(2))) / 2
    return x + linear(w, f"{name}.mlp.fc2", gelu)


def forward(w: Tensors, config: dict, images: Tensor, noise: Tensor) -> Tensors:
    """loss, pred [B, N, P * P * C], mask [B, N] and latent [B, 1 + K, D] for one draw of noise [B, N]."""
    rows, columns = grid(config)
    d, e = config["width"], config["decoderWidth"]
    epsilon = config.get("layerNormEpsilon", 1e-6)
    b, n = noise.shape
    keep = math.floor(n * (1 - config["maskRatio"]))
    kept = torch.sort(noise, dim=1, stable=True).indices[:, :keep]
    mask = torch.ones(b, n).scatter(1, kept, 0.0)

    patches = patchify(images, config["patchSize"])
    x = torch.einsum("bnyxc,dcyx->bnd", patches, w["patch_embed.proj.weight"]) + w["patch_embed.proj.bias"]
    x = x + positions(d, rows, columns)
    x = torch.stack([x[i, kept[i]] for i in range(b)])
    x = torch.cat([w["cls_token"].expand(b, 1, d), x], dim=1)
    for i in range(config["depth"]):
        x = block(w, f"blocks.{i}", x, config["heads"], epsilon)
    latent = layer_norm(w, "norm", x, epsilon)

    x = linear(w, "decoder_embed", latent)
    tokens = w["mask_token"].expand(b, n, e)
    tokens = tokens.scatter(1, kept[:, :, None].expand(b, keep, e), x[:, 1:])
    x = torch.cat([x[:, :1], tokens + positions(e, rows, columns)], dim=1)
    for i in range(config["decoderDepth"]):
        x = block(w, f"decoder_blocks.{i}", x, config["decoderHeads"], epsilon)
    pred = linear(w, "decoder_pred", layer_norm(w, "decoder_norm", x, epsilon))[:, 1:]

    target = patches.flatten(2)
    if config["normalizeTarget"]:
        centred = target - target.mean(dim=-1, keepdim=True)
        variance = (centred * centred).sum(dim=-1, keepdim=True) / (target.shape[-1] - 1)
        target = centred / torch.sqrt(variance + 1e-6)
    error = ((pred - target) ** 2).mean(dim=-1)
    return {"loss": (error * mask).sum() / mask.sum(), "pred": pred, "mask": mask, "latent": latent}


def expected(
    config: dict, optimizer: dict, weights: Tensors, images: Tensor, noise: Tensor, forward=forward
) -> Tensors:
    """Every `expected.` tensor: step 0 in full, then one AdamW step for each draw of noise [S, B, N]."""
    w = {name: tensor.clone().requires_grad_() for name, tensor in weights.items()}
    adamw = torch.optim.AdamW(
        [
            {"params": [p for p in w.values() if p.ndim >= 2], "weight_decay": optimizer["weightDecay"]},
            {"params": [p for p in w.values() if p.ndim < 2], "weight_decay": 0.0},
        ],
        lr=optimizer["learningRate"],
        betas=(optimizer["beta1"], optimizer["beta2"]),
        eps=optimizer["epsilon"],
    )
    result: Tensors = {}
    losses = []
    for step, draw in enumerate(noise):
        outputs = forward(w, config, images, draw)
        adamw.zero_grad(set_to_none=True)
        outputs["loss"].backward()
        if step == 0:
            result |= {f"expected.{name}": tensor.detach() for name, tensor in outputs.items()}
            result |= {f"expected.grad.{name}": p.grad.clone() for name, p in w.items()}
        losses.append(outputs["loss"].detach())
        adamw.step()
    result["expected.losses"] = torch.stack(losses)
    return result | {f"expected.final.{name}": p.detach() for name, p in w.items()}


# --- The file ---------------------------------------------------------------------------------------------------

DTYPES = {"F32": "<f4", "I64": "<i8"}


def write_safetensors(path: Path, tensors: Tensors, metadata: dict[str, str]) -> None:
    header: dict[str, object] = {"__metadata__": metadata}
    data = bytearray()
    for name, tensor in sorted(tensors.items(), key=lambda entry: -entry[1].element_size()):  # aligned
        start = len(data)
        dtype = "I64" if tensor.dtype == torch.int64 else "F32"
        data += tensor.contiguous().numpy().astype(DTYPES[dtype]).tobytes()
        header[name] = {"dtype": dtype, "shape": list(tensor.shape), "data_offsets": [start, len(data)]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def read_safetensors(path: Path) -> tuple[Tensors, dict[str, str]]:
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        first, last = (start + offset for offset in entry["data_offsets"])
        values = numpy.frombuffer(content[first:last], dtype=DTYPES[entry["dtype"]]).reshape(entry["shape"])
        tensors[name] = torch.from_numpy(values.copy())
    return tensors, metadata


def write_reference(
    config: dict, path: Path, seed: int, batch: int = 2, steps: int = 10, optimizer: dict | None = None
) -> None:
    """`optimizer` overrides members of OPTIMIZER."""
    optimizer = OPTIMIZER | (optimizer or {})
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    generator = torch.Generator().manual_seed(seed)
    rows, columns = grid(config)
    weights = random_weights(config, generator)
    images = torch.randn(batch, config["channels"], *config["imageSize"], generator=generator)
    images[0, :, : config["patchSize"]] *= 1e-3  # almost flat patches, where the target's epsilon shows
    noise = torch.rand(steps, batch, rows * columns, generator=generator)
    tensors = {f"weights.{name}": tensor for name, tensor in weights.items()}
    tensors |= {"input.images": images, "input.noise": noise}
    tensors |= expected(config, optimizer, weights, images, noise)
    metadata = {
        "format": "sherd-reference/1",
        "objective": "mae",
        "config": json.dumps(config),
        "optimizer": json.dumps(optimizer),
    }
    write_safetensors(path, tensors, metadata)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", type=json.loads, help="the model, as JSON (layerNormEpsilon is optional)")
    parser.add_argument("path", type=Path, help="the .safetensors file to write")
    parser.add_argument("seed", type=int)
    parser.add_argument("--batch", type=int, default=2, help="images (default 2)")
    parser.add_argument("--steps", type=int, default=10, help="optimizer steps (default 10)")
    parser.add_argument("--optimizer", type=json.loads, help=f"other members than {json.dumps(OPTIMIZER)}")
    write_reference(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
