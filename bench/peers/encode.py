"""Times the encoder of the plain PyTorch peer on whole images, in float32, in rounds.

    python3 encode.py '{"imageSize":[64,64],"patchSize":8,"channels":3,"width":384,"depth":12,"heads":6,
      "decoderWidth":192,"decoderDepth":1,"decoderHeads":3,"batch":16,"threads":2,"compile":false,"fusedAttention":true}'

With "compile" it is compiled with its weights as constants, which PyTorch may lay out as its products want them.
Prints {"ready":true,"torch":..,"threads":..} after a warm-up. Then each line {"batches":n} on standard input encodes n batches and prints
{"seconds":[..]}. A batch goes from float pixels 0 to 255 [B, C, H, W], which are normalised here as in an exported graph, to
cls [B, D] and the mean of the patches [B, D].
"""

import json
import os
import sys
import time

config: dict = json.loads(sys.argv[1]) if len(sys.argv) == 2 else sys.exit(__doc__)
os.environ["OMP_NUM_THREADS"] = str(config["threads"])  # read when torch and its BLAS load

import torch  # noqa: E402

from mae import from_config  # noqa: E402


def main() -> None:
    torch.set_num_threads(config["threads"])
    torch.manual_seed(0)
    model = from_config(config).eval()
    (height, width), channels = config["imageSize"], config["channels"]
    pixels = torch.randint(0, 256, (config["batch"], channels, height, width)).float()
    mean = 255 * torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    std = 255 * torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)

    def encode() -> tuple[torch.Tensor, torch.Tensor]:
        x = model.patch_embed((pixels - mean) / std) + model.pos_embed[:, 1:]
        x = torch.cat([model.cls_token.expand(len(x), -1, -1), x], dim=1)
        for block in model.blocks:
            x = block(x)
        x = model.norm(x)
        return x[:, 0], x[:, 1:].mean(dim=1)

    if config.get("compile"):
        import torch._inductor.config as inductor

        inductor.freezing = True  # takes no_grad, and not inference_mode
        run = torch.compile(encode)
    else:
        run = encode
    with torch.no_grad() if config.get("compile") else torch.inference_mode():
        for _ in range(2):
            run()
        ready = {"ready": True, "torch": torch.__version__, "threads": torch.get_num_threads()}
        print(json.dumps(ready), flush=True)
        for line in sys.stdin:
            seconds = []
            for _ in range(json.loads(line)["batches"]):
                start = time.perf_counter()
                run()
                seconds.append(time.perf_counter() - start)
            print(json.dumps({"seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
