"""Times transformers' DINOv2 on whole images, with its default attention, in rounds.

    python3 embed.py '{"folder":"/tmp/dinov2","write":true}'
    python3 embed.py '{"folder":"/tmp/dinov2","precision":"bf16","autocast":false,"batch":32,"threads":2}'

With "write" it writes the folder of a ViT-Small/14 of 224 pixels with random weights, as transformers saves one, and ends. Else it prints
{"ready":true,"transformers":..,"threads":..,"features":[..]} after a warm-up; the features are the cls tokens [B, D] of a batch of the
bytes (7919 · i) mod 256 in [B, H, W, C], normalised by ImageNet's statistics before anything is timed. Then each line {"batches":n} on
standard input encodes n batches and prints {"seconds":[..],"cpuSeconds":..}. "bf16" is a model in bfloat16, or one in float32 under autocast.
"""

import json
import os
import sys
import time
from contextlib import nullcontext

config: dict = json.loads(sys.argv[1]) if len(sys.argv) == 2 else sys.exit(__doc__)
os.environ["OMP_NUM_THREADS"] = str(config.get("threads", 1))  # read when torch and its BLAS load

import torch  # noqa: E402
import transformers  # noqa: E402

SIZE = 224
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def write(folder: str) -> None:
    torch.manual_seed(0)
    options = transformers.Dinov2Config(hidden_size=384, num_attention_heads=6, image_size=SIZE, patch_size=14)
    model = transformers.Dinov2Model(options)
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if name.endswith("lambda1"):
                weights.uniform_(0.05, 1)  # all 1 else, and a LayerScale that is left out would not show
            elif name.endswith("bias"):
                weights.normal_(std=0.02)
    model.save_pretrained(folder)
    size = {"crop_size": {"height": SIZE, "width": SIZE}, "size": {"shortest_edge": 256}}
    transformers.BitImageProcessor(**size, resample=3, image_mean=MEAN, image_std=STD).save_pretrained(folder)


def main() -> None:
    torch.set_num_threads(config["threads"])
    is_bfloat16, autocast = config["precision"] == "bf16", config.get("autocast", False)
    dtype = torch.bfloat16 if is_bfloat16 and not autocast else torch.float32
    model = transformers.Dinov2Model.from_pretrained(config["folder"], dtype=dtype).eval()
    shape = (config["batch"], SIZE, SIZE, 3)
    values = (7919 * torch.arange(torch.tensor(shape).prod())) % 256
    pixels = values.float().reshape(shape).permute(0, 3, 1, 2) / 255
    pixels = (pixels - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    pixels = pixels.contiguous().to(dtype)
    precision = torch.autocast("cpu", torch.bfloat16) if autocast else nullcontext()

    def encode() -> torch.Tensor:
        return model(pixel_values=pixels).pooler_output.float()

    with torch.inference_mode(), precision:
        encode()
        features = encode().flatten().tolist()
        versions = {"transformers": transformers.__version__, "attention": model.config._attn_implementation}
        print(json.dumps({"ready": True, **versions, "features": features}), flush=True)
        for line in sys.stdin:
            seconds, before = [], time.process_time()
            for _ in range(json.loads(line)["batches"]):
                start = time.perf_counter()
                encode()
                seconds.append(time.perf_counter() - start)
            print(json.dumps({"seconds": seconds, "cpuSeconds": time.process_time() - before}), flush=True)


if __name__ == "__main__":
    write(config["folder"]) if config.get("write") else main()
