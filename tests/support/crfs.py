"""Small CRFs, and inputs for them."""

from typing import Any

import torch

from crf.model.config import LatentCRFConfig
from crf.model.latent_crf import LatentCRF
from tests.support.teachers import PROJECTION, TEXT_WIDTH

SMALL = LatentCRFConfig(height=4, width=5, channels=3, text_width=6, heads=2, hidden=7, filters=4, iterations=3)


def random_crf(config: LatentCRFConfig = SMALL) -> LatentCRF:
    """Return a float64 CRF in which no parameter is all zeros, so that every part has an effect."""
    torch.manual_seed(0)
    crf = LatentCRF(config).double()
    with torch.no_grad():
        for parameter in crf.parameters():
            if not parameter.any():
                parameter.normal_(std=0.1)
    return crf


def random_inputs(batch: int = 2) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return ``z_BCHW``, ``text_BD`` and ``x0_BCHW`` for a CRF of the ``SMALL`` shape."""
    z, x0 = torch.randn(2, batch, 3, 4, 5, dtype=torch.float64)
    return z, torch.randn(batch, 6, dtype=torch.float64), x0


def random_context(batch: int = 2) -> dict[str, torch.Tensor]:
    """Return what else a CRF of the ``SMALL`` shape may be told: the previous x0, the guidance, two timesteps a row."""
    previous, guidance = torch.randn(2, batch, 3, 4, 5, dtype=torch.float64)
    timesteps = torch.stack([torch.arange(batch) * 100.0 + 300, torch.arange(batch) * 90.0 + 200], 1)
    return {"previous_BCHW": previous, "guidance_BCHW": guidance, "timesteps_B2": timesteps}


WIDTHS = {"sd": TEXT_WIDTH, "sd_v": TEXT_WIDTH, "sdxl": PROJECTION, "sd3": 2 * PROJECTION}


def make_inside_crf(family: str = "sd", trained: bool = True) -> LatentCRF:
    """A CRF that is told its place; if ``trained``, one that changes what it sees."""
    torch.manual_seed(0)
    shape: dict[str, Any] = {"height": 4, "width": 4, "text_width": WIDTHS[family], "hidden": 4, "filters": 4}
    config = LatentCRFConfig(**shape, crf_input="x0+state+previous+guidance", with_timesteps=True)
    crf = LatentCRF(config).eval()
    if trained:
        with torch.no_grad():
            for parameter in crf.parameters():
                if not parameter.any():
                    parameter.normal_(std=0.05)
    return crf
