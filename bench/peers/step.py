"""Times whole training steps of the plain PyTorch peer, in rounds, so that two programs can take turns in one run.

    python3 step.py '{"imageSize":[32,32],"patchSize":4,"channels":3,"width":192,"depth":12,"heads":3,
      "decoderWidth":192,"decoderDepth":4,"decoderHeads":3,"mlpRatio":4,"maskRatio":0.75,"batch":128,
      "precision":"bf16","threads":2,"device":"cpu","compile":false}'

Builds the model, takes four warm-up steps and prints {"ready":true,"torch":..,"threads":..,"parameters":..}. Then each line
{"steps":n} on standard input runs n steps and prints {"seconds":[..],"loss":..,"peakBytes":..}; ends with the input. On a CPU
each step is timed, on CUDA all of them together (one number, per step), so that the host may run ahead of the device.

A step is: bytes [B, H, W, C] (made once; on CUDA in pinned memory, sent in every step, as a loader does) to normalised
float pixels, forward, backward, AdamW, zero_grad. "mode" is that of torch.compile. With "fusedAttention":false PyTorch 2
does attention by plain matrix products too, which can be faster on a CPU.
"""

import json
import os
import sys
import time
from collections.abc import Callable

config: dict = json.loads(sys.argv[1]) if len(sys.argv) == 2 else sys.exit(__doc__)
os.environ["OMP_NUM_THREADS"] = str(config["threads"])  # read when torch and its BLAS load

import torch  # noqa: E402

from mae import from_config, parameter_groups  # noqa: E402


def make_optimizer(groups: list[dict]) -> torch.optim.Optimizer:
    """AdamW, fused where this version of PyTorch has it for the device, else its default."""
    options = {"lr": 1.5e-4, "betas": (0.9, 0.95), "eps": 1e-8}
    try:
        return torch.optim.AdamW(groups, fused=True, **options)
    except (TypeError, RuntimeError):
        return torch.optim.AdamW(groups, **options)


def make_step(device: torch.device) -> tuple[Callable[[], torch.Tensor], int]:
    """The training step, and the number of parameters."""
    torch.manual_seed(0)
    (height, width), channels, batch = config["imageSize"], config["channels"], config["batch"]
    model = from_config(config).to(device).train()
    parameters = sum(p.numel() for p in model.parameters())
    optimizer = make_optimizer(parameter_groups(model, weight_decay=0.05))
    forward = torch.compile(model, mode=config.get("mode")) if config.get("compile") else model

    data = torch.randint(0, 256, (batch, height, width, channels), dtype=torch.uint8)
    if device.type == "cuda":
        data = data.pin_memory()
    rgb = channels == 3
    mean = 255 * torch.tensor([0.485, 0.456, 0.406] if rgb else [0.5] * channels, device=device)
    std = 255 * torch.tensor([0.229, 0.224, 0.225] if rgb else [0.25] * channels, device=device)
    bf16 = config["precision"] == "bf16"

    def step() -> torch.Tensor:
        if config.get("mode") == "reduce-overhead":
            torch.compiler.cudagraph_mark_step_begin()  # outputs of the step before may be written over
        images = data.to(device, non_blocking=True)
        images = ((images.float() - mean) / std).permute(0, 3, 1, 2)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
            loss, _, _ = forward(images)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    return step, parameters


def peak_bytes(device: torch.device) -> int:
    """Most memory held so far: the allocator's on CUDA, else the process's resident set."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
    except OSError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS


def main() -> None:
    device = torch.device(config["device"])
    torch.set_num_threads(config["threads"])
    synchronize = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    step, parameters = make_step(device)
    for _ in range(4):  # reduce-overhead records the second
        step()
    ready = {"ready": True, "torch": torch.__version__, "threads": torch.get_num_threads(), "parameters": parameters}
    print(json.dumps(ready), flush=True)

    for line in sys.stdin:
        seconds = []
        steps = json.loads(line)["steps"]
        together = steps if device.type == "cuda" else 1
        for _ in range(steps // together):
            synchronize()
            start = time.perf_counter()
            for _ in range(together):
                loss = step()
            synchronize()
            seconds.append((time.perf_counter() - start) / together)
        print(json.dumps({"seconds": seconds, "loss": loss.item(), "peakBytes": peak_bytes(device)}), flush=True)


if __name__ == "__main__":
    main()
