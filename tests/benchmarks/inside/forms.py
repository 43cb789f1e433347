"""What is trained in the CRF's places: the CRF, and its rivals, scalars per step and a convnet."""

from typing import Any

import torch
from torch import Tensor, nn

from crf.model.config import LatentCRFConfig
from crf.model.latent_crf import LatentCRF

CHANNELS, SIDE, TEXT_WIDTH = 8, 16, 192  # of the demo's teacher


def make_crf(observes: str = "x0+state+previous+guidance") -> LatentCRF:
    """Make the demo's form of the CRF, told its timesteps; before training it changes nothing."""
    config = LatentCRFConfig(
        height=SIDE,
        width=SIDE,
        channels=CHANNELS,
        text_width=TEXT_WIDTH,
        hidden=32,
        filters=88,
        kernel_size=3,
        iterations=2,
        similarity="stationary",
        crf_input=observes,  # type: ignore[arg-type]
        potentials="observed",
        expert_weights="signed",
        with_timesteps=True,
    )
    return LatentCRF(config)


class Scalars(nn.Module):
    """Correct x0 by a linear combination of what a CRF observes, with scalars per step and channel (D-ODE's way).

    Takes ``LatentCRF.forward``'s arguments. Before training it changes nothing.
    """

    def __init__(self, timesteps: list[float]) -> None:
        super().__init__()
        self.timesteps = timesteps
        self.scalar_TKC = nn.Parameter(torch.zeros(len(timesteps), 4, CHANNELS))

    def forward(
        self,
        z_BCHW: Tensor,
        text_BD: Tensor,
        x0_BCHW: Tensor,
        *,
        previous_BCHW: Tensor,
        guidance_BCHW: Tensor,
        timesteps_B2: Tensor,
        **_: Any,
    ) -> Tensor:
        place = self.find_place(timesteps_B2)
        seen = (x0_BCHW - previous_BCHW, guidance_BCHW, z_BCHW, x0_BCHW)
        scaled = [scalar_C[:, None, None] * each for scalar_C, each in zip(self.scalar_TKC[place], seen, strict=True)]
        return x0_BCHW + torch.stack(scaled).sum(0)

    def find_place(self, timesteps_B2: Tensor) -> int:
        """Return the number of the step, which is that of the whole batch."""
        return self.timesteps.index(float(timesteps_B2[0, 0]))


class InsideConvNet(nn.Module):
    """Scalars per step, and on top a convnet whose channels are scaled and shifted per step. Untrained, it returns x0.

    Takes ``LatentCRF.forward``'s arguments. With width 28 its FLOPs are about those of the CRF.
    """

    def __init__(self, timesteps: list[float], width: int = 28) -> None:
        super().__init__()
        self.scalars = Scalars(timesteps)
        self.first = nn.Conv2d(4 * CHANNELS, width, 3, padding=1)
        self.middle = nn.Conv2d(width, width, 3, padding=1)
        self.last = nn.Conv2d(width, CHANNELS, 3, padding=1)
        self.modulation_T2C = nn.Parameter(torch.zeros(len(timesteps), 2, width))
        self.gain_T = nn.Parameter(torch.ones(len(timesteps)))
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    def forward(self, z_BCHW: Tensor, text_BD: Tensor, x0_BCHW: Tensor, **more: Tensor) -> Tensor:
        place = self.scalars.find_place(more["timesteps_B2"])
        scale_C, shift_C = self.modulation_T2C[place]
        seen = [z_BCHW, x0_BCHW, x0_BCHW - more["previous_BCHW"], more["guidance_BCHW"]]
        hidden = self.first(torch.cat(seen, 1)) * (1 + scale_C[:, None, None]) + shift_C[:, None, None]
        hidden = nn.functional.silu(self.middle(nn.functional.silu(hidden)))
        corrected: Tensor = self.scalars(z_BCHW, text_BD, x0_BCHW, **more) + self.gain_T[place] * self.last(hidden)
        return corrected
