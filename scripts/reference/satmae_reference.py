"""Writes a reference file of objective satmae: a masked autoencoder of bands in groups, of several dates, of several scales.

Cong et al. 2022 (groups, dates), Reed et al. 2023 (positions in metres), Noman et al. 2024 (finer scales). Everything but the
blocks of mae_reference.py is written out sample by sample, token by token and band by band, with loops where the checked
program gathers, so that the two have nothing in common but the equations. Gradients and AdamW are PyTorch's. float32, one
thread, deterministic. docs/verify.md has the keys of the configuration and the tensors.

    python3 scripts/reference/satmae_reference.py '{"imageSize":[8,8],"patchSize":4,"channels":3,"width":16,"depth":1,
      "heads":2,"decoderWidth":12,"decoderDepth":1,"decoderHeads":2,"mlpRatio":2,"maskRatio":0.5,"normalizeTarget":true,
      "groups":[[2,0],[1]],"groupWidth":4,"decoderGroupWidth":4}' out.safetensors 1 --inputs '{"consistent":true}'
"""

import argparse
import json
import math
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

import mae_reference
from mae_reference import OPTIMIZER, Tensors, block, grid, layer_norm, linear, random_weights, write_safetensors

UNKNOWN_TIME = -(2**62)
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
TIME_FIELDS = {
    "year": lambda date: date.year - 2002,
    "month": lambda date: date.month - 1,
    "dayOfYear": lambda date: date.timetuple().tm_yday - 1,
    "hour": lambda date: date.hour,
}


# --- The tokens -------------------------------------------------------------------------------------------------


class Token(NamedTuple):
    group: int
    frame: int
    row: int  # of patches
    column: int


def groups_of(config: dict) -> list[list[int]]:
    return config.get("groups") or [list(range(config["channels"]))]


def tokens_of(config: dict) -> list[Token]:
    """In the order of their numbers: groups, inside them frames, inside them places row by row."""
    rows, columns = grid(config)
    return [
        Token(g, t, row, column)
        for g in range(len(groups_of(config)))
        for t in range(config.get("frames", 1))
        for row in range(rows)
        for column in range(columns)
    ]


def grouped_bands(config: dict) -> list[int]:
    """The bands that are in some group, ascending."""
    return sorted(band for bands in groups_of(config) for band in bands)


def require(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(f"this configuration or input has no meaning: {what}")


def check_config(config: dict, images: Tensor) -> None:
    bands = grouped_bands(config)
    require(len(set(bands)) == len(bands), "a band in two groups")
    require(not config.get("scales") or not config["normalizeTarget"], "scales with a normalised target")
    require(not config.get("scales") or not images.isnan().any(), "scales with pixels of no data")
    require(all(s == 2 ** (i + 1) for i, s in enumerate(config.get("scales", []))), "scales are 2, 4, 8, …")
    if config.get("compat") == "satmae":
        require(config.get("frames", 1) == 1 and "time" not in config, "compat with frames or time")
        require(bands == list(range(config["channels"])), "compat where a band is in no group")
        require(not config["normalizeTarget"] or config.get("statistics") == "all", "compat with other statistics")
        require(not images.isnan().any(), "compat with pixels of no data")


# --- The parameters ---------------------------------------------------------------------------------------------


def parameter_shapes(config: dict) -> dict[str, tuple[int, ...]]:
    """Every parameter; with groups, an embedding and a head for each as in the released checkpoints."""
    p, d, e = (config[key] for key in ("patchSize", "width", "decoderWidth"))
    shapes = mae_reference.parameter_shapes(config)
    if config.get("groups"):
        shapes = {name: s for name, s in shapes.items() if not name.startswith(("patch_embed.", "decoder_pred."))}
        for g, bands in enumerate(config["groups"]):
            outputs = p * p * len(bands)
            shapes |= {f"patch_embed.{g}.proj.weight": (d, len(bands), p, p), f"patch_embed.{g}.proj.bias": (d,)}
            shapes |= {f"decoder_pred.{g}.weight": (outputs, e), f"decoder_pred.{g}.bias": (outputs,)}
    if config.get("scales"):
        u, bands = config["upscaleWidth"], len(grouped_bands(config))
        shapes |= {"upscale.embed.weight": (u, bands, 1, 1), "upscale.embed.bias": (u,)}
        shapes |= {"upscale.norm.weight": (u,), "upscale.norm.bias": (u,)}
        for i in range(len(config["scales"])):
            name = f"upscale.blocks.{i}"
            shapes |= {f"{name}.up.weight": (u, u, 4, 4), f"{name}.up.bias": (u,)}
            shapes |= {f"{name}.norm.weight": (u,), f"{name}.norm.bias": (u,)}
            for conv in ("conv1", "conv2"):
                shapes |= {f"{name}.{conv}.weight": (u, u, 3, 3), f"{name}.{conv}.bias": (u,)}
            shapes |= {f"{name}.pred.weight": (bands, u, 1, 1), f"{name}.pred.bias": (bands,)}
    return shapes


# --- Positions --------------------------------------------------------------------------------------------------


def sine_cosine(n: float, width: int) -> list[float]:
    angles = [n * 10000 ** (-k / (width / 2)) for k in range(width // 2)]
    return [math.sin(a) for a in angles] + [math.cos(a) for a in angles]


def time_numbers(fields: list[str], width: int, seconds: int) -> list[float]:
    if seconds == UNKNOWN_TIME:
        return [0.0] * (width * len(fields))
    date = EPOCH + timedelta(seconds=seconds)
    return [number for field in fields for number in sine_cosine(TIME_FIELDS[field](date), width)]


def position(config: dict, token: Token, facts: dict, is_decoder: bool) -> Tensor:
    """[width]: the place, then the group, then the time. `facts` are one sample's times and resolution."""
    width = config["decoderWidth" if is_decoder else "width"]
    group: list[float] = []
    if config.get("groups"):
        group = sine_cosine(token.group, config["decoderGroupWidth" if is_decoder else "groupWidth"])
    time: list[float] = []
    if "time" in config:
        own = config["time"]["decoderWidth" if is_decoder else "width"]
        time = time_numbers(config["time"]["fields"], own, facts["times"][token.frame])
    scale = facts["resolution"] / config["referenceResolution"] if "referenceResolution" in config else 1.0
    half = (width - len(group) - len(time)) // 2
    place = sine_cosine(token.column * scale, half) + sine_cosine(token.row * scale, half)
    require(len(place) + len(group) + len(time) == width, "a width that the positions do not divide")
    return torch.tensor(place + group + time)


def decoder_cls_position(config: dict) -> Tensor:
    """[decoderWidth]: zeros, but the released SatMAE has the group after the last one there."""
    e = config["decoderWidth"]
    if config.get("compat") != "satmae":
        return torch.zeros(e)
    own = sine_cosine(len(config["groups"]), config["decoderGroupWidth"])
    return torch.tensor([0.0] * (e - len(own)) + own)


# --- Pixels -----------------------------------------------------------------------------------------------------


def area_mean(images: Tensor, factor: int) -> Tensor:
    """[..., H, W] -> [..., H / factor, W / factor]."""
    total = torch.zeros(*images.shape[:-2], images.shape[-2] // factor, images.shape[-1] // factor)
    for y in range(factor):
        for x in range(factor):
            total = total + images[..., y::factor, x::factor]
    return total / (factor * factor)


def cut(image: Tensor, token: Token, p: int) -> Tensor:
    """[..., H, W] -> [..., P, P], what lies at the token's place."""
    return image[..., token.row * p : (token.row + 1) * p, token.column * p : (token.column + 1) * p]


def moments(values: list[Tensor]) -> tuple[Tensor, Tensor]:
    """The mean and the unbiased variance of all numbers of these tensors."""
    count = sum(len(v) for v in values)
    mean = sum(v.sum() for v in values) / count
    variance = sum(((v - mean) ** 2).sum() for v in values) / max(count - 1, 1)
    return mean, variance


def target_bands(config: dict, patch: Tensor, valid: Tensor, bands: list[int]) -> list[Tensor]:
    """For each band of a group its values to predict, valid ones only. `patch` [C, P, P], `valid` [P, P]."""
    own = [patch[band][valid] for band in bands]
    if not config["normalizeTarget"]:
        return own
    statistics = config.get("statistics", "group")
    targets = []
    for values in own:
        if statistics == "band":
            mean, variance = moments([values])
        elif statistics == "group":
            mean, variance = moments(own)
        else:
            mean, variance = moments([patch[band][valid] for band in range(config["channels"])])
        targets.append((values - mean) / torch.sqrt(variance + 1e-6))
    return targets


# --- Finer scales -----------------------------------------------------------------------------------------------


def padded(x: Tensor) -> Tensor:
    """[T, C, H, W] with a frame of zeros, one pixel wide."""
    t, c, h, w = x.shape
    column, row = torch.zeros(t, c, h, 1), torch.zeros(t, c, 1, w + 2)
    return torch.cat([row, torch.cat([column, x, column], dim=3), row], dim=2)


def convolution(w: Tensors, name: str, x: Tensor) -> Tensor:
    """Side 1 or 3, one tap of the kernel after the other; the size stays the same."""
    kernel = w[f"{name}.weight"]
    height, width = x.shape[2:]
    around = padded(x) if kernel.shape[2] == 3 else x
    total = w[f"{name}.bias"][None, :, None, None]
    for y in range(kernel.shape[2]):
        for z in range(kernel.shape[3]):
            part = around[:, :, y : y + height, z : z + width]
            total = total + torch.einsum("tcyx,uc->tuyx", part, kernel[:, :, y, z])
    return total


def doubled(w: Tensors, name: str, x: Tensor) -> Tensor:
    """Transposed convolution of side 4, stride 2, padding 1: pixel (y, x) adds to (2 y - 1 + i, 2 x - 1 + j), i and j in 0 … 3."""
    kernel = w[f"{name}.weight"]
    t, _, height, width = x.shape
    total = torch.zeros(t, kernel.shape[1], 2 * height + 2, 2 * width + 2)
    for i in range(4):
        for j in range(4):
            total[:, :, i : i + 2 * height : 2, j : j + 2 * width : 2] += torch.einsum(
                "tcyx,cu->tuyx", x, kernel[:, :, i, j]
            )
    return total[:, :, 1:-1, 1:-1] + w[f"{name}.bias"][None, :, None, None]


def channel_norm(w: Tensors, name: str, x: Tensor) -> Tensor:
    return layer_norm(w, name, x.permute(0, 2, 3, 1), 1e-6).permute(0, 3, 1, 2)


def gelu(x: Tensor) -> Tensor:
    return x * (1 + torch.erf(x / math.sqrt(2))) / 2


def upscaled(w: Tensors, config: dict, picture: Tensor) -> list[Tensor]:
    """[T, C', H, W] -> the same at each scale."""
    x = channel_norm(w, "upscale.norm", gelu(convolution(w, "upscale.embed", picture)))
    outputs = []
    for i in range(len(config["scales"])):
        name = f"upscale.blocks.{i}"
        x = channel_norm(w, f"{name}.norm", doubled(w, f"{name}.up", x))
        x = x + convolution(w, f"{name}.conv2", gelu(convolution(w, f"{name}.conv1", x)))
        outputs.append(convolution(w, f"{name}.pred", x))
    return outputs


# --- The equations ----------------------------------------------------------------------------------------------


def kept_tokens(config: dict, noise: list[float], has_data: list[bool]) -> list[int]:
    """The numbers of the kept tokens by ascending noise; one without any valid pixel comes after all others."""
    keep = config.get("kept", math.floor(len(noise) * (1 - config["maskRatio"])))
    require(keep <= sum(has_data), "more tokens to keep than have data")
    return sorted(range(len(noise)), key=lambda n: (not has_data[n], noise[n], n))[:keep]


def embedded(w: Tensors, config: dict, image: Tensor, token: Token) -> Tensor:
    """[D], one token before its position is added. `image` is one sample [T, C, H, W]."""
    name = f"patch_embed.{token.group}.proj" if config.get("groups") else "patch_embed.proj"
    patch = cut(image[token.frame], token, config["patchSize"])
    x = w[f"{name}.bias"]
    for i, band in enumerate(groups_of(config)[token.group]):
        x = x + torch.einsum("yx,dyx->d", patch[band], w[f"{name}.weight"][:, i])
    return x


def predicted(w: Tensors, config: dict, x: Tensor, image: Tensor) -> Tensor:
    """[T, C, H, W]: what the heads say of each band; zeros where no head says anything. `x` [N, E]."""
    p = config["patchSize"]
    picture = torch.zeros(image.shape)
    groups = groups_of(config)
    for n, token in enumerate(tokens_of(config)):
        bands = groups[token.group]
        name = f"decoder_pred.{token.group}" if config.get("groups") else "decoder_pred"
        said = linear(w, name, x[None, n : n + 1])[0, 0]
        for i, band in enumerate(bands):
            if config.get("compat") == "satmae":  # channel first; heads one after the other are bands 0, 1, 2, …
                values = said[i * p * p : (i + 1) * p * p].reshape(p, p)
                band = sum(len(before) for before in groups[: token.group]) + i
            else:
                values = said.reshape(p, p, len(bands))[:, :, i]
            cut(picture[token.frame, band], token, p)[:] = values
    return picture


def sample(w: Tensors, config: dict, image: Tensor, noise: Tensor, facts: dict) -> dict:
    """What one sample [T, C, H, W] gives: latent, mask, picture and the errors that count."""
    p, d = config["patchSize"], config["width"]
    epsilon = config.get("layerNormEpsilon", 1e-6)
    tokens = tokens_of(config)
    valid = torch.stack([torch.stack([~band.isnan() for band in frame]).all(dim=0) for frame in image])
    image = torch.stack([torch.stack([band.where(v, torch.zeros(())) for band in f]) for f, v in zip(image, valid)])
    has_data = [bool(cut(valid[token.frame], token, p).any()) for token in tokens]
    kept = kept_tokens(config, noise.tolist(), has_data)

    rows = [w["cls_token"].reshape(d)]
    for n in kept:
        rows.append(embedded(w, config, image, tokens[n]) + position(config, tokens[n], facts, False))
    x = torch.stack(rows)[None]
    for i in range(config["depth"]):
        x = block(w, f"blocks.{i}", x, config["heads"], epsilon)
    latent = layer_norm(w, "norm", x, epsilon)

    narrow = linear(w, "decoder_embed", latent)[0]
    rows = [narrow[0] + decoder_cls_position(config)]
    for n, token in enumerate(tokens):
        row = narrow[1 + kept.index(n)] if n in kept else w["mask_token"][0, 0]
        rows.append(row + position(config, token, facts, True))
    x = torch.stack(rows)[None]
    for i in range(config["decoderDepth"]):
        x = block(w, f"decoder_blocks.{i}", x, config["decoderHeads"], epsilon)
    picture = predicted(w, config, layer_norm(w, "decoder_norm", x, epsilon)[0, 1:], image)

    errors = []
    for n, token in enumerate(tokens):
        if n in kept or not has_data[n]:
            continue
        here = cut(valid[token.frame], token, p)
        bands = groups_of(config)[token.group]
        targets = target_bands(config, cut(image[token.frame], token, p), here, bands)
        squares = [
            (cut(picture[token.frame, band], token, p)[here] - target) ** 2 for band, target in zip(bands, targets)
        ]
        errors.append(torch.stack(squares).mean())  # every band has as many valid values
    mask = torch.tensor([0.0 if n in kept else 1.0 for n in range(len(tokens))])
    return {"latent": latent[0], "mask": mask, "picture": picture, "errors": errors, "has_data": has_data}


def pred_of(config: dict, picture: Tensor) -> Tensor:
    """[T, C, H, W] -> [T * L, P * P * C]: row, column, band."""
    rows, columns = grid(config)
    places = [Token(0, t, row, column) for t in range(len(picture)) for row in range(rows) for column in range(columns)]
    return torch.stack(
        [cut(picture[place.frame], place, config["patchSize"]).permute(1, 2, 0).flatten() for place in places]
    )


def forward(w: Tensors, config: dict, images: Tensor, noise: Tensor, inputs: Tensors = {}) -> Tensors:
    """loss, pred [B, T * L, P * P * C], mask [B, N] and latent [B, 1 + K, D] for one draw of noise [B, N]."""
    check_config(config, images)
    scales = config.get("scales", [])
    finest = images if images.ndim == 5 else images[:, None]
    samples, differences = [], [[] for _ in scales]
    for b, fine in enumerate(finest):
        facts = {
            "times": inputs["times"][b].tolist() if "times" in inputs else None,
            "resolution": inputs["resolution"][b].item() if "resolution" in inputs else None,
        }
        samples.append(sample(w, config, area_mean(fine, max(scales, default=1)), noise[b], facts))
        if scales:
            bands = grouped_bands(config)
            for i, out in enumerate(upscaled(w, config, samples[b]["picture"][:, bands])):
                differences[i].append((out - area_mean(fine[:, bands], max(scales) // scales[i])).abs())
    errors = [error for s in samples for error in s["errors"]]
    loss = sum(errors) / len(errors)
    for parts in differences:
        loss = loss + 0.5 * torch.stack(parts).mean()
    return {
        "loss": loss,
        "pred": torch.stack([pred_of(config, s["picture"]) for s in samples]),
        "mask": torch.stack([s["mask"] for s in samples]),
        "latent": torch.stack([s["latent"] for s in samples]),
    }


def expected(config: dict, optimizer: dict, weights: Tensors, images: Tensor, noise: Tensor, inputs: Tensors) -> Tensors:
    """Every `expected.` tensor. `inputs` are `times` and `resolution`, where the configuration needs them."""
    with_inputs = lambda w, config, images, draw: forward(w, config, images, draw, inputs)
    return mae_reference.expected(config, optimizer, weights, images, noise, with_inputs)


# --- The file ---------------------------------------------------------------------------------------------------


def draw_noise(config: dict, images: Tensor, consistent: bool, generator: torch.Generator) -> Tensor:
    """[B, N] with which some token of each group is kept and some is hidden, so that every parameter has a gradient."""
    tokens, p = tokens_of(config), config["patchSize"]
    scale = max(config.get("scales", []), default=1)
    frames = images if images.ndim == 5 else images[:, None]
    places = math.prod(grid(config))
    has_data = [
        [bool((~cut(frame[t.frame], t, p * scale).isnan()).all(dim=0).any()) for t in tokens] for frame in frames
    ]
    for _ in range(1000):
        if consistent:
            noise = torch.rand(len(frames), places, generator=generator).repeat(1, len(tokens) // places)
        else:
            noise = torch.rand(len(frames), len(tokens), generator=generator)
        kept, hidden = set(), set()
        for b, row in enumerate(noise.tolist()):
            keep = kept_tokens(config, row, has_data[b])
            kept |= {tokens[n].group for n in keep}
            hidden |= {t.group for n, t in enumerate(tokens) if n not in keep and has_data[b][n]}
        if len(kept) == len(hidden) == len(groups_of(config)):
            return noise
    raise ValueError("no draw keeps and hides a token of each group: change maskRatio or kept")


def seconds_of(date: str | None) -> int:
    return UNKNOWN_TIME if date is None else int((datetime.fromisoformat(date) - EPOCH).total_seconds())


def make_inputs(config: dict, given: dict, batch: int, generator: torch.Generator) -> Tensors:
    """images, and times and resolution where the configuration needs them; drawn where they are not given."""
    frames, scale = config.get("frames", 1), max(config.get("scales", []), default=1)
    height, width = (side * scale for side in config["imageSize"])
    images = torch.randn(batch, frames, config["channels"], height, width, generator=generator)
    # Bands of different mean and variance, so that no two of them and no two ways to normalise are alike.
    images *= torch.linspace(0.5, 2, config["channels"])[:, None, None]
    images += torch.linspace(-0.5, 0.5, config["channels"])[:, None, None]
    for b, t, band, rows, columns in given.get("noData", []):
        bands = slice(None) if band is None else band
        images[b, t, bands, slice(*rows), slice(*columns)] = math.nan
    inputs = {"images": images if frames > 1 else images[:, 0]}
    if "time" in config:
        drawn = torch.randint(0, 2**31, (batch, frames), generator=generator)
        dates = given.get("times")
        inputs["times"] = torch.tensor([[seconds_of(d) for d in row] for row in dates]) if dates else drawn
    if "referenceResolution" in config:
        drawn = config["referenceResolution"] * (0.5 + 1.5 * torch.rand(batch, generator=generator))
        inputs["resolution"] = torch.tensor(given["resolution"]) if "resolution" in given else drawn
    return inputs


def write_reference(
    config: dict,
    path: Path,
    seed: int,
    batch: int = 2,
    steps: int = 10,
    optimizer: dict | None = None,
    inputs: dict | None = None,
) -> None:
    """`optimizer` overrides members of OPTIMIZER; `inputs` may say times, resolution, noData and consistent."""
    optimizer, given = OPTIMIZER | (optimizer or {}), inputs or {}
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    generator = torch.Generator().manual_seed(seed)
    weights = random_weights(config, generator, parameter_shapes(config))
    made = make_inputs(config, given, batch, generator)
    images = made["images"]
    noise = torch.stack(
        [draw_noise(config, images, given.get("consistent", False), generator) for _ in range(steps)]
    )
    tensors = {f"weights.{name}": tensor for name, tensor in weights.items()}
    tensors |= {f"input.{name}": tensor for name, tensor in made.items()} | {"input.noise": noise}
    tensors |= expected(config, optimizer, weights, images, noise, made)
    metadata = {
        "format": "sherd-reference/1",
        "objective": "satmae",
        "config": json.dumps(config),
        "optimizer": json.dumps(optimizer),
    }
    write_safetensors(path, tensors, metadata)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=json.loads, help="the model, as JSON")
    parser.add_argument("path", type=Path, help="the .safetensors file to write")
    parser.add_argument("seed", type=int)
    parser.add_argument("--batch", type=int, default=2, help="samples (default 2)")
    parser.add_argument("--steps", type=int, default=10, help="optimizer steps (default 10)")
    parser.add_argument("--optimizer", type=json.loads, help=f"other members than {json.dumps(OPTIMIZER)}")
    parser.add_argument(
        "--inputs",
        type=json.loads,
        help='JSON: "times" [B][T], each like "2019-07-01T12:00:00+00:00" or null; "resolution" [B]; "noData", a list of '
        '[sample, frame, band or null, [first row, end], [first column, end]]; "consistent", equal noise in all groups and frames',
    )
    write_reference(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
