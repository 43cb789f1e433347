"""LatentCRF (arXiv 2412.18596): a continuous CRF over latents, solved by unrolled mean-field updates.

    E(x) = 1/2 sum_i |x_i - z_i|^2                               unary
         + 1/2 sum_{i<j} k_ij |A_c (x_i - x_j)|^2                pairwise, text-conditioned
         - sum_i sum_m log phi((w_m * x)_i)                      Field of Experts

    x <- Norm( z + compat_c(K x) + sum_m mirror(w_m) * relu(w_m * x) )        (eq. 11)

z: the observed latents, x: the field, c: the pooled text; B, C, H, W as usual, N = H*W locations.
"""

from dataclasses import asdict, dataclass
from typing import Any, Self

import torch
from diffusers.configuration_utils import ConfigMixin
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class LatentCRFConfig:
    """The CRF's shape. The paper's sizes; where it is silent, the choice is ours and stands here."""

    height: int = 64
    width: int = 64
    channels: int = 8
    text_width: int = 1024
    heads: int = 7
    hidden: int = 2048
    filters: int = 1024
    kernel_size: int = 5
    iterations: int = 5
    text: bool = True

    @classmethod
    def paper(cls) -> Self:
        """64x64x8 latents, 130 M parameters (the paper's 'only 130 million')."""
        return cls()


class Pairwise(nn.Module):
    """Message passing along learned similarities, then a text-conditioned compatibility (eqs. 3, 4, 11).

    K starts as Gaussians of growing width over the distance of two locations, rows summing to
    one, and learns from there; a location sends no message to itself.
    """

    def __init__(self, config: LatentCRFConfig) -> None:
        super().__init__()
        self.similarity_hNN = nn.Parameter(gaussian_similarities(config))
        self.others_NN: Tensor
        self.register_buffer("others_NN", 1 - torch.eye(config.height * config.width), persistent=False)
        self.project = nn.Conv2d(config.heads * config.channels, config.hidden, 1)
        self.modulate = text_modulation(config) if config.text else None
        self.compatibility = nn.Conv2d(config.hidden, config.channels, 1)

    def forward(self, x_BCHW: Tensor, text_BD: Tensor | None) -> Tensor:
        similarity_hNN = self.similarity_hNN * self.others_NN
        message = torch.einsum("hnm,bcm->bhcn", similarity_hNN, x_BCHW.flatten(2))
        hidden_BDHW = self.project(message.reshape(len(x_BCHW), -1, *x_BCHW.shape[2:]))
        if self.modulate is not None and text_BD is not None:
            scale_BD, shift_BD = self.modulate(text_BD).chunk(2, dim=1)
            hidden_BDHW = hidden_BDHW * (1 + scale_BD[..., None, None]) + shift_BD[..., None, None]
        compatible: Tensor = self.compatibility(F.silu(hidden_BDHW))
        return compatible


class FieldOfExperts(nn.Module):
    """Responses of a filter bank sent back through the mirrored filters (eqs. 5, 6, 10, 11).

    This is the negative gradient of -sum log phi(w * x) with phi(y) = eps exp(relu(y)^2 / 2).
    """

    def __init__(self, config: LatentCRFConfig) -> None:
        super().__init__()
        side = config.kernel_size
        fan_in = config.channels * side * side
        # The bank and its adjoint together start with a gain well below one.
        scale = 0.5 / (fan_in * config.filters) ** 0.25 / side
        self.filters = nn.Parameter(torch.randn(config.filters, config.channels, side, side) * scale)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        padding = self.filters.shape[-1] // 2
        response_BMHW = F.relu(F.conv2d(x_BCHW, self.filters, padding=padding))
        return F.conv_transpose2d(response_BMHW, self.filters, padding=padding)


class IterationNorm(nn.Module):
    """Batch-norm in place of the inverse (I + sum_j k_ij A'A)^-1: statistics an iteration, one affine map.

    An iteration beyond those trained uses the last one's statistics.
    """

    def __init__(self, channels: int, iterations: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels, affine=False) for _ in range(iterations))
        self.scale_C = nn.Parameter(torch.ones(channels))
        self.shift_C = nn.Parameter(torch.zeros(channels))

    def forward(self, x_BCHW: Tensor, iteration: int) -> Tensor:
        normed: Tensor = self.norms[min(iteration, len(self.norms) - 1)](x_BCHW)
        return normed * self.scale_C[:, None, None] + self.shift_C[:, None, None]


class LatentCRF(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """Observed latents (B, C, H, W) and pooled text (B, D) -> inferred latents (B, C, H, W)."""

    config_name = "config.json"

    def __init__(self, config: LatentCRFConfig) -> None:
        super().__init__()
        self.register_to_config(**asdict(config))
        self.settings = config
        self.pairwise = Pairwise(config)
        self.experts = FieldOfExperts(config)
        self.norm = IterationNorm(config.channels, config.iterations)

    @classmethod
    def from_config(cls, config: dict[str, Any], **_: Any) -> "LatentCRF":
        """What ``from_pretrained`` calls, with the contents of config.json."""
        return cls(LatentCRFConfig(**{name: config[name] for name in LatentCRFConfig.__dataclass_fields__}))

    def forward(
        self,
        z_BCHW: Tensor,
        text_BD: Tensor | None = None,
        x0_BCHW: Tensor | None = None,
        iterations: int | None = None,
    ) -> Tensor:
        """``iterations`` parallel mean-field updates (Algorithm 1), the trained number unless given."""
        x_BCHW = z_BCHW
        for iteration in range(iterations or self.settings.iterations):
            message = self.pairwise(x_BCHW, text_BD) + self.experts(x_BCHW)
            x_BCHW = self.norm(z_BCHW + message, iteration)
        return x_BCHW


def text_modulation(config: LatentCRFConfig) -> nn.Sequential:
    """Pooled text -> scale and shift of the hidden channels; starts without any effect."""
    last = nn.Linear(config.hidden, 2 * config.hidden)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(config.text_width, config.hidden), nn.SiLU(), last)


def gaussian_similarities(config: LatentCRFConfig) -> Tensor:
    """(heads, N, N): Gaussians of the distance with widths 1, 2, 4, ... latents, zero diagonal, rows summing to one."""
    ys, xs = torch.meshgrid(torch.arange(config.height), torch.arange(config.width), indexing="ij")
    places_N2 = torch.stack([ys, xs], -1).reshape(-1, 2).float()
    squared_NN = (places_N2[:, None] - places_N2[None]).square().sum(-1)
    widths = [2.0**head for head in range(config.heads)]
    weights_hNN = torch.stack([torch.exp(-squared_NN / (2 * width**2)) for width in widths])
    weights_hNN = weights_hNN * (1 - torch.eye(len(places_N2)))
    return weights_hNN / weights_hNN.sum(-1, keepdim=True)
