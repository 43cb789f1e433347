"""What the ``reference`` stage computes: the features of the real images that an evaluation compares with."""

from typing import Any

import numpy as np
import torch

from crf.device import set_up
from crf.features.loading import load_features
from crf.stages.arrays import FEATURES
from crf.stages.micro_batches import StageModel


class ComputeFeatures(StageModel):
    """Compute the features of a dict of images.

    Reads ``image`` uint8 (B, H, W, 3) and ``valid`` bool (B,). Adds ``features`` float32 (B, D), which are NaN for
    invalid rows. Removes ``image``; all other entries pass through.
    """

    pads = True

    def __init__(self, device: str, threads: int, features_path: str | None = None) -> None:
        set_up(threads)
        self.features = load_features(features_path, device)

    def compute(self, batch: dict[str, Any]) -> dict[str, Any]:
        arrays = self._compute(batch["image"])
        arrays[FEATURES][~batch["valid"]] = np.nan
        return {**{name: values for name, values in batch.items() if name != "image"}, **arrays}

    def _compute(self, image_BHWC: Any) -> dict[str, Any]:
        x_BCHW = torch.from_numpy(np.ascontiguousarray(image_BHWC)).permute(0, 3, 1, 2).float() / 127.5 - 1
        return {FEATURES: self.features(x_BCHW).numpy()}
