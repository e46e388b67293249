"""How far PyTorch's own autocast in bfloat16 is from what timm's layout folders expect, for the table in bench/results.

    PYTHON scripts/reference/check_bfloat16.py LAYOUTS

PYTHON as in check_layouts.py. Prints a line of JSON for each folder: the greatest of its tensors' mean differences, and the greatest
difference. A size that the model does not take is left out.
"""

import json
import sys
from pathlib import Path

import torch
from check_layouts import expected_of, is_before_norm
from check_transformers import load_timm


@torch.no_grad()
def differences(folder: Path) -> dict[str, object]:
    expected, facts = expected_of(folder)
    model = load_timm(folder)
    taps: list[torch.Tensor] = []
    for block in model.blocks:
        block.register_forward_hook(lambda _, __, made: taps.append(made))
    rows: dict[str, tuple[float, float]] = {}
    for at in ("", "resized."):
        pixels = expected.get(f"input.{at}pixel_values")
        if pixels is None:
            continue
        taps.clear()
        try:
            if at and hasattr(model, "set_input_size"):
                model.set_input_size(img_size=tuple(pixels.shape[2:]))
            with torch.autocast("cpu", torch.bfloat16):
                tokens = model.forward_features(pixels)
                pooled = model.forward_head(tokens, pre_logits=True)
        except (AssertionError, RuntimeError):
            continue
        before = is_before_norm(folder.name, facts)
        made = {"intermediate": torch.stack(taps), "last_hidden_state": taps[-1] if before else tokens, "pooled": pooled}
        for name, x in made.items():
            wanted = expected.get(f"expected.{at}{name}")
            if wanted is not None and wanted.shape == x.shape:
                by = (x.float() - wanted.float()).abs()
                rows[at + name] = (by.mean().item(), by.max().item())
    return {"folder": folder.name, "tensors": len(rows), "mean": max(m for m, _ in rows.values()), "greatest": max(g for _, g in rows.values())}


for file in sorted(Path(sys.argv[1]).glob("timm-*/expected.safetensors")):
    try:
        print(json.dumps(differences(file.parent)), flush=True)
    except Exception as why:  # noqa: BLE001: a folder that timm does not load is named
        print(json.dumps({"folder": file.parent.name, "why": str(why)[:200]}), flush=True)
