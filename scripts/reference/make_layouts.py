"""Writes small files of weights in other programs' layouts, and what PyTorch computes from them, into test/fixtures/weights/.

    /usr/bin/python3 scripts/reference/make_layouts.py

The models are random. Names, shapes and the order of computation are those of the programs that wrote such files:
facebookresearch/mae, SatMAE, timm's VisionTransformer, transformers' ViTMAEForPreTraining and ViTForImageClassification. The
forward passes are written for each layout on its own names, with torch.nn.functional; none of the libraries is used.
"""

import argparse
import json
import math
import os
import re
from collections import OrderedDict
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

import mae_reference
import satmae_reference
from mae_reference import Tensors, positions, random_weights, write_safetensors

FOLDER = Path(__file__).resolve().parents[2] / "test" / "fixtures" / "weights"

MAE = {
    "imageSize": [6, 6], "patchSize": 2, "channels": 3, "width": 8, "depth": 2, "heads": 2,
    "decoderWidth": 4, "decoderDepth": 1, "decoderHeads": 2, "mlpRatio": 2, "maskRatio": 0.5,
    "normalizeTarget": True,
}  # fmt: skip
SATMAE = {
    "imageSize": [4, 4], "patchSize": 2, "channels": 3, "width": 12, "depth": 1, "heads": 2,
    "decoderWidth": 8, "decoderDepth": 1, "decoderHeads": 2, "mlpRatio": 1, "maskRatio": 0.5,
    "normalizeTarget": False, "groups": [[0, 2], [1]], "groupWidth": 4, "decoderGroupWidth": 4,
    "compat": "satmae",
}  # fmt: skip
SHALLOW = MAE | {"depth": 1}  # of which files are smaller
CLASSES = ["ant", "bee", "cat"]


def in_one_storage(w: Tensors) -> Tensors:
    """The same tensors as windows of one storage, one behind the other."""
    flat = torch.cat([value.flatten() for value in w.values()])
    parts = flat.split([value.numel() for value in w.values()])
    return {name: part.view(value.shape) for (name, value), part in zip(w.items(), parts)}


def with_cls(table: Tensor) -> Tensor:
    """[N, D] -> [1, 1 + N, D]; cls has zeros."""
    return torch.cat([torch.zeros(1, table.shape[1]), table])[None]


# --- transformers -----------------------------------------------------------------------------------------------


def hf_layer(w: Tensors, name: str, x: Tensor, heads: int, epsilon: float) -> Tensor:
    def dense(part: str, value: Tensor) -> Tensor:
        return F.linear(value, w[f"{name}.{part}.weight"], w[f"{name}.{part}.bias"])

    def norm(part: str, value: Tensor) -> Tensor:
        return F.layer_norm(value, value.shape[-1:], w[f"{name}.{part}.weight"], w[f"{name}.{part}.bias"], epsilon)

    b, t, d = x.shape
    h = norm("layernorm_before", x)
    query, key, value = (
        dense(f"attention.attention.{part}", h).view(b, t, heads, d // heads).transpose(1, 2)
        for part in ("query", "key", "value")
    )
    weights = torch.softmax(query @ key.transpose(-1, -2) / math.sqrt(d // heads), dim=-1)
    x = dense("attention.output.dense", (weights @ value).transpose(1, 2).reshape(b, t, d)) + x
    return dense("output.dense", F.gelu(dense("intermediate.dense", norm("layernorm_after", x)))) + x


def hf_embedded(w: Tensors, images: Tensor) -> Tensor:
    """The embedded patches [B, N, D] and cls [1, 1, D], both with their positions."""
    name = "vit.embeddings"
    kernel = w[f"{name}.patch_embeddings.projection.weight"]
    bias = w[f"{name}.patch_embeddings.projection.bias"]
    x = F.conv2d(images, kernel, bias, stride=kernel.shape[-1]).flatten(2).transpose(1, 2)
    table = w[f"{name}.position_embeddings"]
    return x + table[:, 1:], w[f"{name}.cls_token"] + table[:, :1]


def hf_encoder(w: Tensors, config: dict, x: Tensor, cls: Tensor) -> Tensor:
    x = torch.cat([cls.expand(len(x), -1, -1), x], dim=1)
    for i in range(config["num_hidden_layers"]):
        x = hf_layer(w, f"vit.encoder.layer.{i}", x, config["num_attention_heads"], config["layer_norm_eps"])
    return F.layer_norm(
        x, x.shape[-1:], w["vit.layernorm.weight"], w["vit.layernorm.bias"], config["layer_norm_eps"]
    )


def hf_pretraining(w: Tensors, config: dict, images: Tensor, noise: Tensor) -> Tensors:
    """tokens of all patches; pred and loss under a mask, as ViTMAEForPreTraining gives them."""
    x, cls = hf_embedded(w, images)
    tokens = hf_encoder(w, config, x, cls)
    b, n = noise.shape
    keep = int(n * (1 - config["mask_ratio"]))
    shuffled = torch.argsort(noise, dim=1)
    restore = torch.argsort(shuffled, dim=1)
    latent = hf_encoder(
        w, config, torch.gather(x, 1, shuffled[:, :keep, None].expand(-1, -1, x.shape[2])), cls
    )
    y = F.linear(latent, w["decoder.decoder_embed.weight"], w["decoder.decoder_embed.bias"])
    both = torch.cat([y[:, 1:], w["decoder.mask_token"].expand(b, n - keep, -1)], dim=1)
    both = torch.gather(both, 1, restore[:, :, None].expand(-1, -1, y.shape[2]))
    y = torch.cat([y[:, :1], both], dim=1) + w["decoder.decoder_pos_embed"]
    for i in range(config["decoder_num_hidden_layers"]):
        y = hf_layer(
            w, f"decoder.decoder_layers.{i}", y, config["decoder_num_attention_heads"], config["layer_norm_eps"]
        )
    norm = [w[f"decoder.decoder_norm.{part}"] for part in ("weight", "bias")]
    y = F.layer_norm(y, y.shape[-1:], *norm, config["layer_norm_eps"])
    pred = F.linear(y, w["decoder.decoder_pred.weight"], w["decoder.decoder_pred.bias"])[:, 1:]
    return {"tokens": tokens, "pred": pred}


def hf_block(ours: Tensors, block: str, theirs: str) -> Tensors:
    names = {
        "norm1": "layernorm_before", "norm2": "layernorm_after", "attn.proj": "attention.output.dense",
        "mlp.fc1": "intermediate.dense", "mlp.fc2": "output.dense",
    }  # fmt: skip
    result: Tensors = {}
    for kind in ("weight", "bias"):
        for part, value in zip(("query", "key", "value"), ours[f"{block}.attn.qkv.{kind}"].chunk(3)):
            result[f"{theirs}.attention.attention.{part}.{kind}"] = value.clone()
        result |= {f"{theirs}.{to}.{kind}": ours[f"{block}.{name}.{kind}"] for name, to in names.items()}
    return result


def hf_encoder_weights(ours: Tensors, config: dict, table: Tensor) -> Tensors:
    result = {"vit.embeddings.cls_token": ours["cls_token"], "vit.embeddings.position_embeddings": table}
    for kind in ("weight", "bias"):
        result[f"vit.embeddings.patch_embeddings.projection.{kind}"] = ours[f"patch_embed.proj.{kind}"]
        result[f"vit.layernorm.{kind}"] = ours[f"norm.{kind}"]
    for i in range(config["depth"]):
        result |= hf_block(ours, f"blocks.{i}", f"vit.encoder.layer.{i}")
    return result


def hf_config(config: dict, epsilon: float | None, **more: object) -> dict:
    result = {
        "hidden_size": config["width"], "num_hidden_layers": config["depth"],
        "num_attention_heads": config["heads"], "intermediate_size": config["width"] * config["mlpRatio"],
        "hidden_act": "gelu", "image_size": config["imageSize"][0], "patch_size": config["patchSize"],
        "num_channels": config["channels"], "qkv_bias": True, **more,
    }  # fmt: skip
    return result if epsilon is None else result | {"layer_norm_eps": epsilon}


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(value, indent=2)
    text = re.sub(r"\[\s+([^\[\]{}]+?)\s+\]", lambda found: "[" + re.sub(r",\s+", ", ", found[1]) + "]", text)
    path.write_text(text + "\n")


def make_hf_pretraining(generator: torch.Generator, images: Tensor, noise: Tensor) -> Tensors:
    ours = random_weights(SHALLOW, generator)
    config = hf_config(
        SHALLOW, 1e-2, architectures=["ViTMAEForPreTraining"], model_type="vit_mae", decoder_hidden_size=4,
        decoder_num_hidden_layers=1, decoder_num_attention_heads=2, decoder_intermediate_size=8,
        mask_ratio=0.5, norm_pix_loss=True,
    )  # fmt: skip
    w = hf_encoder_weights(ours, SHALLOW, with_cls(positions(8, 3, 3)))
    w |= {"decoder.decoder_pos_embed": with_cls(positions(4, 3, 3)), "decoder.mask_token": ours["mask_token"]}
    for kind in ("weight", "bias"):
        w |= {f"decoder.{name}.{kind}": ours[f"{name}.{kind}"] for name in ("decoder_embed", "decoder_norm", "decoder_pred")}
    w |= hf_block(ours, "decoder_blocks.0", "decoder.decoder_layers.0")
    folder = FOLDER / "huggingface-mae"
    write_json(folder / "config.json", config)
    write_json(
        folder / "preprocessor_config.json",
        {"image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.25, 0.3], "size": {"height": 6, "width": 6}},
    )
    write_safetensors(folder / "model.safetensors", w, {"format": "pt"})
    return hf_pretraining(w, config, images, noise)


def make_hf_classifier(generator: torch.Generator, images: Tensor) -> Tensors:
    """Learned positions, float16, a file of torch.save, no epsilon in the configuration: 1e-12 is transformers' own."""
    config = hf_config(
        MAE, None, architectures=["ViTForImageClassification"], model_type="vit",
        id2label={str(i): name for i, name in enumerate(CLASSES)},
    )  # fmt: skip
    w = hf_encoder_weights(random_weights(MAE, generator), MAE, torch.randn(1, 10, 8, generator=generator) / 2)
    w |= {"classifier.weight": torch.randn(3, 8, generator=generator), "classifier.bias": torch.randn(3, generator=generator)}
    w = {name: value.half() for name, value in w.items()}
    folder = FOLDER / "huggingface-vit"
    write_json(folder / "config.json", config)
    torch.save(OrderedDict(in_one_storage(w)), folder / "pytorch_model.bin")
    w = {name: value.float() for name, value in w.items()}
    tokens = hf_encoder(w, config | {"layer_norm_eps": 1e-12}, *hf_embedded(w, images))
    return {"tokens": tokens, "logits": F.linear(tokens[:, 0], w["classifier.weight"], w["classifier.bias"])}


# --- timm -------------------------------------------------------------------------------------------------------


def timm_block(w: Tensors, name: str, x: Tensor, heads: int) -> Tensor:
    def dense(part: str, value: Tensor) -> Tensor:
        return F.linear(value, w[f"{name}.{part}.weight"], w[f"{name}.{part}.bias"])

    def norm(part: str, value: Tensor) -> Tensor:
        return F.layer_norm(value, value.shape[-1:], w[f"{name}.{part}.weight"], w[f"{name}.{part}.bias"], 1e-6)

    b, t, d = x.shape
    qkv = dense("attn.qkv", norm("norm1", x)).reshape(b, t, 3, heads, d // heads).permute(2, 0, 3, 1, 4)
    query, key, value = qkv.unbind(0)
    weights = torch.softmax((query * (d // heads) ** -0.5) @ key.transpose(-2, -1), dim=-1)
    x = x + dense("attn.proj", (weights @ value).transpose(1, 2).reshape(b, t, d))
    return x + dense("mlp.fc2", F.gelu(dense("mlp.fc1", norm("norm2", x))))


def make_timm(generator: torch.Generator, images: Tensor) -> Tensors:
    """A classifier with learned positions, one of them for cls."""
    all_weights = random_weights(SHALLOW, generator)
    w = {
        name: value
        for name, value in all_weights.items()
        if not name.startswith("decoder") and name != "mask_token"
    }
    w["pos_embed"] = torch.randn(1, 10, 8, generator=generator) / 2
    w |= {"head.weight": torch.randn(3, 8, generator=generator), "head.bias": torch.randn(3, generator=generator)}
    folder = FOLDER / "timm"
    write_json(
        folder / "config.json",
        {
            "architecture": "vit_tiny_patch16_224", "num_classes": 3, "num_features": 8, "global_pool": "token",
            "label_names": CLASSES,
            "model_args": {"img_size": 6, "patch_size": 2, "embed_dim": 8, "depth": 1, "num_heads": 2, "mlp_ratio": 2},
            "pretrained_cfg": {"input_size": [3, 6, 6], "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
        },
    )  # fmt: skip
    write_safetensors(folder / "model.safetensors", w, {"format": "pt"})
    x = F.conv2d(images, w["patch_embed.proj.weight"], w["patch_embed.proj.bias"], stride=2)
    x = torch.cat([w["cls_token"].expand(len(images), -1, -1), x.flatten(2).transpose(1, 2)], dim=1)
    x = x + w["pos_embed"]
    x = timm_block(w, "blocks.0", x, 2)
    tokens = F.layer_norm(x, (8,), w["norm.weight"], w["norm.bias"], 1e-6)
    grid = w["pos_embed"][0, 1:].reshape(1, 3, 3, 8).permute(0, 3, 1, 2)
    resized = F.interpolate(grid, size=(4, 5), mode="bicubic", align_corners=False, antialias=True)
    return {
        "tokens": tokens,
        "logits": F.linear(tokens[:, 0], w["head.weight"], w["head.bias"]),
        "positions": resized.permute(0, 2, 3, 1).reshape(20, 8),
    }


# --- facebookresearch/mae and SatMAE ----------------------------------------------------------------------------


def make_mae(generator: torch.Generator, images: Tensor, noise: Tensor) -> Tensors:
    """A checkpoint of training: weights beside an optimizer, a scaler and arguments."""
    w = random_weights(SHALLOW, generator)
    of_decoder = {name: value for name, value in w.items() if name.startswith("decoder")}
    saved = OrderedDict(w | in_one_storage(of_decoder))  # fewer storages, a smaller file
    saved["pos_embed"], saved["decoder_pos_embed"] = with_cls(positions(8, 3, 3)), with_cls(positions(4, 3, 3))
    arguments = argparse.Namespace(
        model="mae_vit_tiny", norm_pix_loss=True, mask_ratio=0.5, input_size=6, blr=1.5e-4, resume="", device="cpu"
    )
    torch.save(
        {
            "model": saved,
            "optimizer": {"state": {0: {"step": 3, "exp_avg": torch.ones(2)}}, "param_groups": [{"lr": 1e-4, "params": [0]}]},
            "epoch": 3, "scaler": {"scale": 65536.0, "_growth_tracker": 0}, "args": arguments,
        },
        FOLDER / "mae.pth",
    )  # fmt: skip
    everything = mae_reference.forward(w, SHALLOW | {"maskRatio": 0}, images, torch.arange(9.0).expand(2, 9))
    masked = mae_reference.forward(w, SHALLOW, images, noise)
    return {"tokens": everything["latent"], "pred": masked["pred"], "loss": masked["loss"]}


def make_satmae(generator: torch.Generator, images: Tensor, noise: Tensor) -> Tensors:
    w = random_weights(SATMAE, generator, satmae_reference.parameter_shapes(SATMAE))
    saved = dict(w)
    numbers = lambda count, width: torch.tensor([satmae_reference.sine_cosine(n, width) for n in range(count)])[None]
    saved["pos_embed"], saved["decoder_pos_embed"] = with_cls(positions(8, 2, 2)), with_cls(positions(4, 2, 2))
    saved["channel_embed"], saved["decoder_channel_embed"] = numbers(2, 4), numbers(3, 4)
    arguments = argparse.Namespace(norm_pix_loss=False)
    torch.save({"model": in_one_storage(saved), "epoch": 1, "args": arguments}, FOLDER / "satmae.pth")
    found = satmae_reference.forward(w, SATMAE, images, noise)
    return {name: found[name] for name in ("pred", "loss")}


# --- Files that try the reader ----------------------------------------------------------------------------------


class Evil:
    """What a stranger may put into a file: loading it with pickle writes a file."""

    def __reduce__(self) -> tuple:
        return os.system, ("touch /tmp/sherd-forbidden-pickle-ran",)


def make_odd_files(generator: torch.Generator) -> Tensors:
    base = torch.randn(24, generator=generator)
    halves = torch.tensor([1.0, -2.5, 6e-8, 65504.0])
    odd = {
        "row": base, "window": base[4:16].view(3, 4), "transposed": base.view(4, 6).t(), "every other": base[::2],
        "double": torch.tensor([1 / 3, 1e-40], dtype=torch.float64), "half": halves.half(), "bfloat16": halves.bfloat16(),
        "long": torch.tensor([2**40, -1]), "flag": torch.tensor([True, False]), "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 3), "parameter": torch.nn.Parameter(torch.tensor([7.0])),
        "numbers": [1, -1, 300, 70000, 2**40, 1.5, None, True],
    }  # fmt: skip
    torch.save(odd, FOLDER / "odd.pth")
    legacy = FOLDER / "legacy.pth"
    torch.save({"model": {"cls_token": torch.ones(1)}}, legacy, _use_new_zipfile_serialization=False)
    legacy.write_bytes(legacy.read_bytes()[:64])  # behind it stand addresses of memory, which differ each time
    torch.save({"model": Evil()}, FOLDER / "forbidden.pth")
    names = ("window", "transposed", "every other")
    values = {f"odd.{name}": odd[name].contiguous().clone() for name in names}
    return values | {f"odd.{name}": odd[name].float() for name in ("double", "half", "bfloat16")}


def main() -> None:
    torch.set_num_threads(1)
    FOLDER.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(2, 3, 6, 6, generator=generator)
    small = torch.randn(2, 3, 4, 4, generator=generator)
    noise = torch.rand(2, 9, generator=generator)
    small_noise = torch.rand(2, 8, generator=generator)
    tensors = {"input.images": images, "input.noise": noise, "input.small": small, "input.small noise": small_noise}
    made = {
        "mae": make_mae(generator, images, noise),
        "satmae": make_satmae(generator, small, small_noise),
        "timm": make_timm(generator, images),
        "huggingface-mae": make_hf_pretraining(generator, images, noise),
        "huggingface-vit": make_hf_classifier(generator, images),
    }
    for name, found in made.items():
        tensors |= {f"{name}.{what}": value for what, value in found.items()}
    tensors |= make_odd_files(generator)
    write_safetensors(FOLDER / "expected.safetensors", tensors, {"made by": "scripts/reference/make_layouts.py"})


if __name__ == "__main__":
    main()
