# Adapters of PEFT in sherd and of sherd in PEFT, on the layout folders of published encoders: the same tokens within 1e-4.
# python scripts/reference/check_peft.py FOLDERS --sherd dist/src/cli/bin.cjs [--record FILE]   (needs torch, transformers, timm, peft, Node)
import argparse, json, os, subprocess, tempfile
import peft, timm, torch, transformers
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file

parser = argparse.ArgumentParser()
parser.add_argument("folders")
parser.add_argument("--sherd", default="dist/src/cli/bin.cjs")
parser.add_argument("--record")
arguments = parser.parse_args()
transformers.logging.set_verbosity_error()
here = os.path.dirname(os.path.abspath(__file__))


def model_of(name):
    folder = os.path.join(arguments.folders, name)
    if not name.startswith("timm"):
        model = transformers.AutoModel.from_pretrained(folder)
        return (transformers.CLIPVisionModel.from_pretrained(folder) if name == "clip-vision" else model).eval()
    config = json.load(open(os.path.join(folder, "config.json")))
    model = timm.create_model(config["architecture"], **{**config.get("model_args", {}), "num_classes": 0})
    state = load_file(os.path.join(folder, "model.safetensors"))
    model.load_state_dict({k: v for k, v in state.items() if not k.startswith("head.")}, strict=False)
    return model.eval()


def tokens(model, images):
    with torch.no_grad():
        if hasattr(model, "forward_features") or hasattr(getattr(model, "model", None), "forward_features"):
            return (model.forward_features if hasattr(model, "forward_features") else model.model.forward_features)(images)
        last = model(pixel_values=images).last_hidden_state
        norm = next((module for name, module in model.named_modules() if name.endswith("post_layernorm")), None)
        return norm(last) if norm else last  # CLIP norms the cls token alone


def stirred(model):
    torch.manual_seed(0)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    return model


cases = {
    "vit": ["q_proj", "v_proj"],
    "dinov2": ["q_proj", "v_proj", "o_proj"],
    "dinov2-swiglu": ["q_proj", "v_proj", "gate_proj", "up_proj", "down_proj"],
    "clip-vision": ["q_proj", "v_proj", "fc1"],
    "timm-vit-dino": ["attn.qkv", "attn.proj"],
    "timm-dinov2-swiglu": ["attn.qkv", "mlp.fc1", "mlp.fc2"],
}
rows = {}
for name, targets in cases.items():
    work = tempfile.mkdtemp()
    model = model_of(name)
    config = getattr(model, "config", None)
    size = getattr(config, "image_size", None) or model.patch_embed.img_size
    size = (size, size) if isinstance(size, int) else tuple(size)
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    plain = tokens(model, images)
    adapted = stirred(get_peft_model(model_of(name), LoraConfig(r=4, lora_alpha=8, target_modules=targets))).eval()
    wanted = tokens(adapted, images)
    folder = os.path.join(work, "of-peft")
    adapted.save_pretrained(folder)
    written = json.load(open(os.path.join(folder, "adapter_config.json")))
    written["base_model_name_or_path"] = os.path.abspath(os.path.join(arguments.folders, name))
    json.dump(written, open(os.path.join(folder, "adapter_config.json"), "w"))
    pixels = os.path.join(work, "images.bin")
    open(pixels, "wb").write(images.numpy().tobytes())
    back = os.path.join(work, "of-sherd")
    answer = subprocess.run(
        ["node", os.path.join(here, "adapter-tokens.mjs"), os.path.dirname(arguments.sherd), folder, pixels, back],
        check=True, capture_output=True, text=True,
    ).stdout
    theirs = torch.tensor(json.loads(answer)["tokens"]).reshape(wanted.shape)
    # and an adapter that sherd has written of the same base, in PEFT
    again = PeftModel.from_pretrained(model_of(name), back).eval()
    own = torch.tensor(json.loads(answer)["own"]).reshape(wanted.shape)
    rows[name] = {
        "modules": sorted({key.rsplit(".", 2)[0].split(".", 2)[2] for key in load_file(os.path.join(back, "adapter_model.safetensors"))})[:3],
        "changed by the adapter": (wanted - plain).abs().max().item(),
        "PEFT in sherd": (wanted - theirs).abs().max().item(),
        "sherd in PEFT": (tokens(again, images) - own).abs().max().item(),
        "changed by sherd's": (own - plain).abs().max().item(),
    }
    print(name, rows[name], flush=True)
    assert rows[name]["PEFT in sherd"] < 1e-4 and rows[name]["sherd in PEFT"] < 1e-4, name
if arguments.record:
    versions = {"peft": peft.__version__, "transformers": transformers.__version__, "timm": timm.__version__, "torch": torch.__version__}
    json.dump({"versions": versions, "largest differences of tokens": rows}, open(arguments.record, "w"), indent=2)
