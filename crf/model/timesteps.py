"""What timesteps change in a CRF: scales and shifts of its terms, computed from the two that it stands between.

B, C as usual; M: filters; K: observations besides x0.
"""

from typing import NamedTuple

import torch
from diffusers.models.embeddings import get_timestep_embedding
from torch import Tensor, nn

from crf.model.config import LatentCRFConfig

FEATURES, HIDDEN = 32, 64


class Modulation(NamedTuple):
    """What is added to the unary's coefficients, (B, K, C), to the factors one of the experts' responses, (B, M), to
    their biases zero, (B, M), and to the factor one of the correction, (B, C).
    """

    coefficient_BKC: Tensor
    gain_BM: Tensor
    bias_BM: Tensor
    scale_BC: Tensor


class TimestepModulation(nn.Module):
    """A network from two timesteps to a modulation. Before training it returns zeros."""

    def __init__(self, config: LatentCRFConfig) -> None:
        super().__init__()
        self.sizes = [(config.observations - 1) * config.channels, config.filters, config.filters, config.channels]
        self.channels = config.channels
        self.first = nn.Linear(2 * FEATURES, HIDDEN)
        self.last = nn.Linear(HIDDEN, sum(self.sizes))
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, timesteps_B2: Tensor) -> Modulation:
        """Compute the modulation for the timesteps (B, 2) of the evaluation before the CRF and of the one after it."""
        features_BF = get_timestep_embedding(timesteps_B2.flatten(), FEATURES).unflatten(0, (-1, 2)).flatten(1)
        hidden_BH = torch.nn.functional.silu(self.first(features_BF.to(self.first.weight.dtype)))
        coefficient, gain, bias, scale = self.last(hidden_BH).split(self.sizes, 1)
        return Modulation(coefficient.unflatten(1, (-1, self.channels)), gain, bias, scale)
