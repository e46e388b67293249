"""A masked autoencoder (He et al. 2021) in plain PyTorch: what sherd's speed and numbers are compared with.

Any number of channels and any height x width grid; PyTorch 1.13 to 2.x, CPU and CUDA. Parameters carry the
names of the reference checkpoints; the fixed positions are buffers and are not saved.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def sincos_positions(width: int, rows: int, columns: int) -> Tensor:
    """[1, 1 + rows * columns, width]: first half of the width is the column, second the row; cls is zeros."""
    omega = 10000 ** -(torch.arange(width // 4, dtype=torch.float64) / (width // 4))
    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    angles = [position.reshape(-1, 1) * omega for position in (column, row)]
    table = torch.cat([f(angle) for angle in angles for f in (torch.sin, torch.cos)], dim=1)
    return torch.cat([torch.zeros(1, width, dtype=table.dtype), table]).float().unsqueeze(0)


HAS_FUSED_ATTENTION = hasattr(F, "scaled_dot_product_attention")  # PyTorch 2


class PatchEmbed(nn.Module):
    def __init__(self, channels: int, patch_size: int, width: int):
        super().__init__()
        self.proj = nn.Conv2d(channels, width, kernel_size=patch_size, stride=patch_size)

    def forward(self, images: Tensor) -> Tensor:
        return self.proj(images).flatten(2).transpose(1, 2)


class Attention(nn.Module):
    def __init__(self, width: int, heads: int, fused: bool):
        super().__init__()
        self.heads = heads
        self.fused = fused and HAS_FUSED_ATTENTION
        self.scale = (width // heads) ** -0.5
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        b, n, d = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        if self.fused:
            x = F.scaled_dot_product_attention(q, k, v)
        else:
            x = ((q * self.scale) @ k.transpose(-2, -1)).softmax(dim=-1) @ v
        return self.proj(x.transpose(1, 2).reshape(b, n, d))


class Mlp(nn.Module):
    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(x)))


class Block(nn.Module):
    def __init__(self, width: int, heads: int, mlp_ratio: float, eps: float, fused_attention: bool):
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=eps)
        self.attn = Attention(width, heads, fused_attention)
        self.norm2 = nn.LayerNorm(width, eps=eps)
        self.mlp = Mlp(width, int(width * mlp_ratio))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class MaskedAutoencoder(nn.Module):
    def __init__(
        self,
        *,
        image_size: tuple[int, int] = (224, 224),
        patch_size: int = 16,
        channels: int = 3,
        width: int = 768,
        depth: int = 12,
        heads: int = 12,
        decoder_width: int = 512,
        decoder_depth: int = 8,
        decoder_heads: int = 16,
        mlp_ratio: float = 4,
        mask_ratio: float = 0.75,
        normalize_target: bool = True,
        layer_norm_eps: float = 1e-6,
        fused_attention: bool = True,
    ):
        super().__init__()
        self.patch_size = patch_size
        self.channels = channels
        self.mask_ratio = mask_ratio
        self.normalize_target = normalize_target
        self.rows, self.columns = image_size[0] // patch_size, image_size[1] // patch_size

        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.patch_embed = PatchEmbed(channels, patch_size, width)
        options = (mlp_ratio, layer_norm_eps, fused_attention)
        self.blocks = nn.ModuleList(Block(width, heads, *options) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=layer_norm_eps)

        self.decoder_embed = nn.Linear(width, decoder_width)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, decoder_width))
        self.decoder_blocks = nn.ModuleList(Block(decoder_width, decoder_heads, *options) for _ in range(decoder_depth))
        self.decoder_norm = nn.LayerNorm(decoder_width, eps=layer_norm_eps)
        self.decoder_pred = nn.Linear(decoder_width, patch_size**2 * channels)

        for name, d in (("pos_embed", width), ("decoder_pos_embed", decoder_width)):
            self.register_buffer(name, sincos_positions(d, self.rows, self.columns), persistent=False)
        self.initialize()

    def initialize(self) -> None:
        """Xavier-uniform on every linear map, the patch embedding included; tokens N(0, 0.02); biases zero."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        projection = self.patch_embed.proj
        nn.init.xavier_uniform_(projection.weight.view(projection.out_channels, -1))
        nn.init.zeros_(projection.bias)
        nn.init.normal_(self.cls_token, std=0.02)
        nn.init.normal_(self.mask_token, std=0.02)

    def patchify(self, images: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, N, P * P * C]: patches row-major; inside a patch row, column, channel last."""
        b, p = len(images), self.patch_size
        x = images.reshape(b, self.channels, self.rows, p, self.columns, p)
        return x.permute(0, 2, 4, 3, 5, 1).reshape(b, self.rows * self.columns, p * p * self.channels)

    def random_masking(self, x: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Keeps the patches of lowest noise; returns them, the mask (1 = hidden) and the restoring order."""
        b, n, d = x.shape
        kept = int(n * (1 - self.mask_ratio))
        if noise is None:
            noise = torch.rand(b, n, device=x.device)
        shuffle = noise.argsort(dim=1)
        restore = shuffle.argsort(dim=1)
        x = x.gather(1, shuffle[:, :kept].unsqueeze(-1).expand(-1, -1, d))
        mask = torch.ones(b, n, device=x.device)
        mask[:, :kept] = 0
        return x, mask.gather(1, restore), restore

    def encode(self, images: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """The latent [B, 1 + K, D] of the visible patches (row 0 is cls), the mask and the restoring order."""
        x = self.patch_embed(images) + self.pos_embed[:, 1:]
        x, mask, restore = self.random_masking(x, noise)
        cls = self.cls_token + self.pos_embed[:, :1]
        x = torch.cat([cls.expand(len(x), -1, -1), x], dim=1)
        for block in self.blocks:
            x = block(x)
        return self.norm(x), mask, restore

    def decode(self, latent: Tensor, restore: Tensor) -> Tensor:
        """The prediction [B, N, P * P * C] for every patch."""
        x = self.decoder_embed(latent)
        b, length, d = x.shape
        n = restore.shape[1]
        hidden = self.mask_token.expand(b, n + 1 - length, -1).to(x.dtype)
        patches = torch.cat([x[:, 1:], hidden], dim=1).gather(1, restore.unsqueeze(-1).expand(-1, -1, d))
        x = torch.cat([x[:, :1], patches], dim=1) + self.decoder_pos_embed
        for block in self.decoder_blocks:
            x = block(x)
        return self.decoder_pred(self.decoder_norm(x))[:, 1:]

    def loss(self, images: Tensor, pred: Tensor, mask: Tensor) -> Tensor:
        """Mean squared error over the hidden patches of the whole batch."""
        target = self.patchify(images)
        if self.normalize_target:
            variance, mean = torch.var_mean(target, dim=-1, keepdim=True)  # unbiased
            target = (target - mean) / (variance + 1e-6).sqrt()
        error = (pred.float() - target).square().mean(dim=-1)
        return (error * mask).sum() / mask.sum()

    def forward(self, images: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        latent, mask, restore = self.encode(images, noise)
        pred = self.decode(latent, restore)
        return self.loss(images, pred, mask), pred, mask


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict]:
    """Weight decay on tensors of two or more dimensions only."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]


def from_config(config: dict) -> MaskedAutoencoder:
    """The model of a configuration written with sherd's names (scripts/reference, bench)."""
    return MaskedAutoencoder(
        image_size=tuple(config["imageSize"]),
        patch_size=config["patchSize"],
        channels=config["channels"],
        width=config["width"],
        depth=config["depth"],
        heads=config["heads"],
        decoder_width=config["decoderWidth"],
        decoder_depth=config["decoderDepth"],
        decoder_heads=config["decoderHeads"],
        mlp_ratio=config.get("mlpRatio", 4),
        mask_ratio=config.get("maskRatio", 0.75),
        normalize_target=config.get("normalizeTarget", True),
        layer_norm_eps=config.get("layerNormEpsilon", 1e-6),
        fused_attention=config.get("fusedAttention", True),
    )
