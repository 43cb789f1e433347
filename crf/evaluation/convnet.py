"""A plain convolutional network in place of the CRF: a control for what the form of the energy contributes."""

import itertools
from typing import Any

import torch
from torch import Tensor, nn


class ConvNet(nn.Module):
    """Corrects x0 by 3x3 convolutions over the state and x0, without text. Untrained, it returns x0."""

    def __init__(self, channels: int, width: int, layers: int = 3) -> None:
        super().__init__()
        widths = [2 * channels, *[width] * (layers - 1), channels]
        convolutions = [nn.Conv2d(a, b, 3, padding=1) for a, b in itertools.pairwise(widths)]
        nn.init.zeros_(convolutions[-1].weight)
        nn.init.zeros_(convolutions[-1].bias)  # type: ignore[arg-type]
        self.body = nn.Sequential(*[part for c in convolutions[:-1] for part in (c, nn.SiLU())], convolutions[-1])

    def forward(self, z_BCHW: Tensor, text_BD: Tensor, x0_BCHW: Tensor, **_: Any) -> Tensor:
        """Infer clean latents (B, C, H, W). Takes ``LatentCRF.forward``'s arguments; uses state and x0."""
        correction_BCHW: Tensor = self.body(torch.cat([x0_BCHW, z_BCHW], dim=1))
        return x0_BCHW + correction_BCHW
