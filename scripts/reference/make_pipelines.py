"""Writes what the libraries of published encoders make of image files: test/reference/pipelines.

    PYTHON scripts/reference/make_pipelines.py LAYOUTS [--record FILE]

PYTHON is one of an environment of its own with torch, torchvision, transformers, timm and open_clip. LAYOUTS holds folders as those of
`shared/reference/layouts`. Each row below is a folder, prepared as a released model of its family is: by its own processor or transform, or by
the one that the row says, which the tests put beside the weights, too. The files are small pictures of this script (written to
test/reference/pipelines/images) and one above 12 megapixels of a formula, which the tests write for themselves.

features.safetensors holds, in float16 and for each row [files, width]: NAME by the library's usual pipeline; NAME.pillow by the processor on
Pillow, where transformers has one beside that on torchvision. Its metadata say the rows, the versions, and a checksum of the pixels that each
pipeline on Pillow makes. Files are read as each library reads a path: transformers turns images by EXIF; timm, OpenCLIP and torchvision's
ImageFolder do not, and get the picture turned. What that changes, and what the two kinds of processors differ by, is written to FILE.
"""

import argparse
import functools
import hashlib
import json
from pathlib import Path

import numpy as np
import open_clip
import PIL
import timm
import torch
import torchvision
import transformers
from PIL import Image, ImageOps
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torchvision import transforms as T
from torchvision.transforms import v2

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "test/reference/pipelines"
FILES = ["wide.jpg", "tall.jpg", "turned.jpg", "transparent.png", "grey.jpg", "cmyk.jpg", "large.png"]
# Kinds of which pixels alone are compared.
MORE = ["grey-alpha.png", "palette.png", "profile.png", "wide16.png", "cmyk.tif"]

IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
HALF = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
CLIP = {"image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711]}

# --- The pictures ----------------------------------------------------------------------------------------------------------


def picture(height: int, width: int, channels: int, seed: int) -> np.ndarray:
    """Noise of several widths, and edges."""
    draw = np.random.default_rng(seed)
    total = np.zeros((height, width, channels))
    for step in (3, 8, 40):
        coarse = draw.integers(0, 256, (height // step + 2, width // step + 2, channels), dtype=np.uint8)
        planes = [np.asarray(Image.fromarray(coarse[..., c]).resize((width, height), 3)) for c in range(channels)]
        total += np.stack(planes, -1) * (0.5 if step == 40 else 0.25)
    y, x = np.mgrid[:height, :width]
    total[(x * 2 + y) % 97 < 30] *= 0.45
    return total.round().clip(0, 255).astype(np.uint8)


def large() -> np.ndarray:
    """4100 x 3000 pixels of whole numbers alone: as test/reference/large-picture.ts."""
    y, x = np.mgrid[:3000, :4100]
    wave = lambda u: np.where((u & 511) < 256, u & 255, 255 - (u & 255))
    planes = [(wave((x * y) >> (8 + c)) + wave((x * (3 + c) + y * (5 - c)) >> 2)) >> 1 for c in range(3)]
    return np.stack(planes, -1).astype(np.uint8)


def write_pictures(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    turned = Image.Exif()
    turned[0x112] = 6
    save = lambda image, name, **how: image.save(folder / name, **how)
    jpeg = {"quality": 80}
    save(Image.fromarray(picture(90, 270, 3, 1)), "wide.jpg", **jpeg)
    save(Image.fromarray(picture(270, 90, 3, 2)), "tall.jpg", **jpeg)
    save(Image.fromarray(picture(150, 96, 3, 3)), "turned.jpg", exif=turned, **jpeg)
    see_through = picture(60, 90, 4, 4)
    see_through[..., 3] = picture(60, 90, 1, 12)[..., 0] // 64 * 85  # a few steps, which pack well
    see_through[15:40, 20:75, 3] = 0
    save(Image.fromarray(see_through), "transparent.png", optimize=True)
    save(Image.fromarray(picture(100, 130, 1, 5)[..., 0]), "grey.jpg", **jpeg)
    save(Image.fromarray(picture(80, 100, 4, 6), "CMYK"), "cmyk.jpg", **jpeg)
    small = lambda channels, seed: picture(60, 75, channels, seed)
    save(Image.fromarray(small(2, 7), "LA"), "grey-alpha.png", optimize=True)
    save(Image.fromarray(small(3, 8)).quantize(64), "palette.png", transparency=3, optimize=True)
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    save(Image.fromarray(small(3, 9)), "profile.png", icc_profile=profile, optimize=True)
    save(Image.fromarray(small(1, 10)[..., 0].astype(np.uint16) * 257), "wide16.png", optimize=True)
    save(Image.fromarray(small(4, 11)[:40, :48], "CMYK"), "cmyk.tif", compression="tiff_adobe_deflate")


# --- Preparing -------------------------------------------------------------------------------------------------------------


@functools.cache
def upright(path: Path) -> Image.Image:
    return ImageOps.exif_transpose(Image.open(path))


class Prepared:
    """What a pipeline makes of a path: pixels [1, 3, H, W]. `usual`: by another one, that users get unless they ask for Pillow."""

    def __init__(self, of, mean, std, usual=None, is_pillow=True):
        self.of, self.usual, self.is_pillow = of, usual or of, is_pillow
        self.mean, self.std = (torch.tensor(x).reshape(1, 3, 1, 1) for x in (mean, std))

    def checksum(self, path: Path) -> str:
        """Of the bytes before normalising, [H, W, 3]."""
        values = (self.of(path) * self.std + self.mean) * 255
        rounded = values.round()
        assert (values - rounded).abs().max() < 1e-3, path
        return hashlib.sha256(rounded[0].permute(1, 2, 0).to(torch.uint8).numpy().tobytes()).hexdigest()[:12]


def by_processor(folder: Path) -> Prepared:
    load = transformers.AutoImageProcessor.from_pretrained
    usual = load(folder)
    pillow = load(folder, backend="pil")

    def through(processor):
        return lambda path: processor(images=processor.fetch_images(str(path)), return_tensors="pt")["pixel_values"]

    has_pillow = type(pillow) is not type(usual)
    return Prepared(through(pillow), usual.image_mean, usual.image_std, through(usual) if has_pillow else None, has_pillow)


def by_transform(transform, mean, std, is_converted=True, is_pillow=True) -> Prepared:
    colours = (lambda image: image.convert("RGB")) if is_converted else (lambda image: image)
    return Prepared(lambda path: transform(colours(upright(path)))[None], mean, std, is_pillow=is_pillow)


def by_timm(config: dict) -> Prepared:
    size = config["model_args"]["img_size"]
    data = timm.data.resolve_data_config({"input_size": (3, *size)}, pretrained_cfg=config["pretrained_cfg"])
    return by_transform(timm.data.create_transform(**data, is_training=False), data["mean"], data["std"])


def by_authors(name: str, side: int) -> Prepared:
    """As the evaluations of DINO, iBOT, DINOv2 (256 -> 224) and the readme of DINOv3 have it, at the model's size."""
    mean, std = IMAGENET["image_mean"], IMAGENET["image_std"]
    normalize = T.Normalize(mean, std)
    if name.startswith("dinov3"):
        steps = [v2.ToImage(), v2.Resize((side, side), antialias=True), v2.ToDtype(torch.float32, scale=True), normalize]
        return by_transform(v2.Compose(steps), mean, std, is_pillow=False)
    resized = T.Resize(side * 256 // 224, interpolation=T.InterpolationMode.BICUBIC)
    return by_transform(T.Compose([resized, T.CenterCrop(side), T.ToTensor(), normalize]), mean, std)


# --- Features --------------------------------------------------------------------------------------------------------------


def mean_of_patches(tokens: torch.Tensor, prefix: int = 1) -> torch.Tensor:
    return tokens[:, prefix:].mean(1)


def of_transformers(folder: Path, pixels: torch.Tensor) -> torch.Tensor:
    """The image feature of the family, as LAYOUTS.md has it."""
    kind = json.loads((folder / "config.json").read_text())["architectures"][0]
    more = {"add_pooling_layer": True} if kind == "Data2VecVisionModel" else {}
    model = getattr(transformers, kind).from_pretrained(folder, **more).eval()
    if kind.startswith("ViTMAE"):
        model.config.mask_ratio = 0.0
        noise = torch.arange(float((pixels.shape[-1] // model.config.patch_size) ** 2)).expand(len(pixels), -1)
        return mean_of_patches(getattr(model, "vit", model)(pixels, noise=noise).last_hidden_state)
    if kind == "CLIPModel":
        return model.visual_projection(model.vision_model(pixels).pooler_output)
    if kind == "CLIPVisionModelWithProjection":
        return model(pixels).image_embeds
    if kind == "SiglipModel":
        return model.vision_model(pixels).pooler_output
    if kind == "BeitForMaskedImageModeling":
        # transformers 5.24 exchanges the encoder's norm and the one behind it when it loads them.
        stored = load_file(folder / "model.safetensors")
        model.beit.layernorm.load_state_dict({key: stored[f"beit.layernorm.{key}"] for key in ("weight", "bias")})
        return mean_of_patches(model.beit(pixels).last_hidden_state)
    if kind.startswith("ViTFor"):
        model = model.vit
    result = model(pixels)
    if kind == "IJepaModel":
        return mean_of_patches(result.last_hidden_state, 0)
    return result.pooler_output if kind in ("BeitModel", "Data2VecVisionModel", "SiglipVisionModel") else result.last_hidden_state[:, 0]


def of_timm(folder: Path, pixels: torch.Tensor) -> torch.Tensor:
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    return model.forward_head(model.forward_features(pixels), pre_logits=True)


def of_open_clip(folder: Path, pixels: torch.Tensor) -> torch.Tensor:
    model, _, _ = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    return model.eval().encode_image(pixels)


def of_authors(folder: Path, pixels: torch.Tensor) -> torch.Tensor:
    """By timm's model of the same parameters, which must say what the authors' code said of the folder's own pixels."""
    model = authors_model(folder).eval()
    expected = load_file(folder / "expected.safetensors")
    apart = (model.forward_features(expected["input.pixel_values"]) - expected["expected.last_hidden_state"]).abs().max()
    assert apart < 2e-4, f"{folder.name}: {apart}"
    return model.forward_features(pixels)[:, 0]


def authors_model(folder: Path) -> torch.nn.Module:
    stored = torch.load(next(folder.glob("*.pth")), map_location="cpu", weights_only=False)
    for key in ("teacher", "state_dict"):
        stored = stored.get(key, stored)
    stored = {name.removeprefix("module.").removeprefix("backbone."): x for name, x in stored.items()}
    stored = {name: x for name, x in stored.items() if not name.startswith(("head.", "dino_head.", "ibot_head."))}
    side = load_file(folder / "expected.safetensors")["input.pixel_values"].shape[-1]
    sizes = {"img_size": side, "embed_dim": 32, "num_classes": 0, "global_pool": "token"}
    name = folder.name
    if name.startswith("dinov3"):
        from timm.models.eva import checkpoint_filter_fn

        kind = "vit_small_plus_patch16_dinov3" if "swiglu" in name else "vit_small_patch16_dinov3_qkvb"
        more = {"mlp_ratio": stored["blocks.0.mlp.w1.weight"].shape[0] / 32} if "swiglu" in name else {}
        model = timm.create_model(kind, depth=2, num_heads=2, **sizes, **more)
        periods = next(x for key, x in stored.items() if key.endswith("rope_embed.periods"))
        model.load_state_dict(checkpoint_filter_fn(dict(stored), model), strict=False)
        model.rope.periods.copy_(periods.float())
        return model
    if name.startswith("dinov2"):
        import re

        from timm.models.vision_transformer import checkpoint_filter_fn

        stored = {re.sub(r"^blocks\.\d+\.(\d+)\.", r"blocks.\1.", key): x for key, x in stored.items()}
        depth = 1 + max(int(key.split(".")[1]) for key in stored if key.startswith("blocks."))
        kind = "vit_giant_patch14_reg4_dinov2" if "swiglu" in name else "vit_small_patch14_dinov2"
        hidden = stored["blocks.0.mlp.w3.weight"].shape[1] if "swiglu" in name else 128
        more = {"mlp_ratio": 2 * hidden / 32} if "swiglu" in name else {}
        if "register_tokens" in stored:
            more["reg_tokens"] = stored["register_tokens"].shape[1]
        model = timm.create_model(kind, depth=depth, num_heads=4, **sizes, **more)
        model.load_state_dict(checkpoint_filter_fn(stored, model), strict=True)
        return model
    model = timm.create_model("vit_small_patch16_224", depth=2, num_heads=4, patch_size=8, **sizes)
    stored.pop("masked_embed", None)
    model.load_state_dict(stored, strict=True)
    return model


# --- Rows ------------------------------------------------------------------------------------------------------------------

SQUASHED = {"do_resize": True, "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True}


def squashed(kind: str, side: int, resample: int, statistics: dict, **more) -> dict:
    return {"image_processor_type": kind, "size": {"height": side, "width": side}, "resample": resample, **SQUASHED, **statistics, **more}


def extractor(kind: str, side: int, resample: int, statistics: dict, **more) -> dict:
    """As files of before transformers 4.25 say it."""
    return {"feature_extractor_type": kind, "size": side, "resample": resample, "do_resize": True, "do_normalize": True, **statistics, **more}


BIT = {
    **{"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 48}, "crop_size": {"height": 42, "width": 42}},
    **{"resample": 3, "do_center_crop": True, "do_convert_rgb": True, **SQUASHED, **IMAGENET},
}
CUT = {"do_center_crop": True, "do_convert_rgb": True}
# What released folders of the family have, for those that have none here.
PROCESSORS = {
    "vit-classifier": extractor("ViTFeatureExtractor", 32, 2, HALF),
    "vit-mae-pretraining": extractor("ViTFeatureExtractor", 32, 3, IMAGENET),
    "vit-mae-pretraining-4": squashed("ViTImageProcessorFast", 32, 3, IMAGENET),
    "vit-msn": extractor("ViTFeatureExtractor", 32, 2, IMAGENET),
    "ijepa": squashed("ViTImageProcessor", 28, 2, HALF),
    "beit-pretraining": extractor("BeitFeatureExtractor", 32, 2, HALF, do_center_crop=False, crop_size=32),
    "data2vec-vision": extractor("BeitFeatureExtractor", 32, 2, HALF, do_center_crop=False, crop_size=32),
    "dinov2-swiglu": BIT,
    "dinov2-registers": {**BIT, "image_processor_type": "BitImageProcessorFast"},
    "dinov3-gated": squashed("DINOv3ViTImageProcessorFast", 48, 2, IMAGENET),
    "clip-vision": extractor("CLIPFeatureExtractor", 32, 3, CLIP, crop_size=32, **CUT),
    "siglip-vision": squashed("SiglipImageProcessor", 32, 3, HALF),
    "siglip-vision-4": squashed("SiglipImageProcessorFast", 32, 2, HALF, do_convert_rgb=True),
}
# Folders again, prepared in another way that releases use: (folder, its processor, or keys of its pretrained_cfg or preprocess_cfg).
OTHERWISE = {
    "vit, cut": ("vit", {**squashed("DeiTImageProcessor", 36, 3, IMAGENET), "do_center_crop": True, "crop_size": {"height": 32, "width": 32}}),
    "clip, larger": ("clip", extractor("CLIPFeatureExtractor", 36, 3, CLIP, crop_size=32, **CUT)),
    "timm-vit-mae, squash": ("timm-vit-mae", {"crop_mode": "squash", "crop_pct": 0.95}),
    "timm-vit-dino, border": ("timm-vit-dino", {"crop_mode": "border", "crop_pct": 1.0}),
    "timm-siglip, bilinear": ("timm-siglip", {"crop_mode": "squash", "crop_pct": 1.0, "interpolation": "bilinear"}),
    "timm-beitv2, squash": ("timm-beitv2", {"crop_mode": "squash", "crop_pct": 0.95}),
    "openclip, squash": ("openclip", {"resize_mode": "squash", "interpolation": "bilinear"}),
    "openclip, longest": ("openclip", {"resize_mode": "longest", "fill_color": 114}),
}


def variant(folder: Path, change: dict | None, work: Path) -> Path:
    """The folder, with the files that a row changes."""
    if change is None:
        return folder
    work.mkdir(parents=True)
    for file in folder.iterdir():
        if file.name != "preprocessor_config.json":
            (work / file.name).symlink_to(file.resolve())
    for name, key in (("config.json", "pretrained_cfg"), ("open_clip_config.json", "preprocess_cfg")):
        if not (work / name).exists():
            continue
        config = json.loads((work / name).read_text())
        if key in config:
            config[key] |= change
            (work / name).unlink()
            (work / name).write_text(json.dumps(config))
            return work
    (work / "preprocessor_config.json").write_text(json.dumps(change))
    return work


def pipeline(folder: Path):
    """How the library of a folder prepares images, and what it computes of them."""
    if next(folder.glob("*.pth"), None):
        side = load_file(folder / "expected.safetensors")["input.pixel_values"].shape[-1]
        return "torchvision", by_authors(folder.name, side), of_authors
    if (folder / "open_clip_config.json").exists():
        _, _, transform = open_clip.create_model_and_transforms(f"local-dir:{folder}")
        given = json.loads((folder / "open_clip_config.json").read_text())["preprocess_cfg"]
        return "open_clip", by_transform(transform, given["mean"], given["std"], is_converted=False), of_open_clip
    config = json.loads((folder / "config.json").read_text())
    if "architecture" in config:
        return "timm", by_timm(config), of_timm
    return "transformers", by_processor(folder), of_transformers


def apart_in(folder: Path, library: str) -> list[str]:
    """Files of which sherd makes something else: Pillow cuts grey of 16 bits off at 255, picks single pixels of a palette where it resizes that
    (OpenCLIP), and remembers a palette's transparent colour, which transformers 5 then lays over white where it converts to RGB itself, but
    not where torchvision reads the file."""
    is_converted = library == "transformers" and transformers.AutoImageProcessor.from_pretrained(folder, backend="pil").do_convert_rgb
    return ["wide16.png", *(["palette.png"] if library == "open_clip" or is_converted else [])]


def cosine(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.cosine_similarity(a.double(), b.double())


@torch.no_grad()
def main() -> None:
    import tempfile

    parser = argparse.ArgumentParser()
    parser.add_argument("layouts", type=Path)
    parser.add_argument("--record", type=Path)
    given = parser.parse_args()
    write_pictures(OUT / "images")
    work = Path(tempfile.mkdtemp())
    Image.fromarray(large()).save(work / "large.png", compress_level=1)
    at = lambda name: work / name if name == "large.png" else OUT / "images" / name

    names = sorted(x.name for x in given.layouts.iterdir() if not x.name.startswith(("videomae", "siglip2-naflex")))
    rows = {name: (name, PROCESSORS.get(name)) for name in names} | OTHERWISE
    tensors, said, found = {}, {}, []
    for name, (of, change) in rows.items():
        folder = variant(given.layouts / of, change, work / "folders" / name.replace(", ", "-"))
        library, prepared, feature = pipeline(folder)
        pixels = torch.cat([prepared.of(at(file)) for file in FILES])
        usual = torch.cat([prepared.usual(at(file)) for file in FILES])
        pillow, tensors[name] = feature(folder, pixels), feature(folder, usual)
        entry = {"of": of, "library": library, "size": list(pixels.shape[-2:])}
        if change is not None:
            entry["change"] = change
        has_both = prepared.usual is not prepared.of
        if has_both:
            tensors[f"{name}.pillow"] = pillow
        if prepared.is_pillow:
            entry["apart"] = apart_in(folder, library)
            entry["pixels"] = [prepared.checksum(at(file)) for file in FILES + MORE]
        said[name] = entry
        apart = cosine(pillow, tensors[name])
        among = min(cosine(tensors[name][i][None], tensors[name][j][None]).item() for i in range(len(FILES)) for j in range(i))
        line = {"row": name, "library": library, "least cosine between files": round(among, 4)}
        if has_both:
            line["torchvision against Pillow"] = {file: round(c, 6) for file, c in zip(FILES, apart.tolist())}
            line["pixels apart, mean"] = round((pixels - usual).abs().mean().item(), 5)
        found.append(line)
        print(json.dumps(line))
    versions = {m.__name__: m.__version__ for m in (transformers, timm, open_clip, torch, torchvision, PIL)}
    metadata = {"format": "sherd-pipelines/1", "files": json.dumps(FILES), "more": json.dumps(MORE)}
    metadata |= {"versions": json.dumps(versions), "rows": json.dumps(said, separators=(",", ":"))}
    half = {name: x.to(torch.float16).contiguous() for name, x in tensors.items()}
    save_file(half, OUT / "features.safetensors", metadata)
    if given.record:
        given.record.write_text(json.dumps({"versions": versions, "rows": found}, indent=1) + "\n")


main()
