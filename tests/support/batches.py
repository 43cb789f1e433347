"""Batches as the store's reader gives them to a training."""

from typing import Any

import numpy as np

from crf.teacher.ddim import DiffusionSchedule

NOISE_SCHEDULE = DiffusionSchedule({"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"})


def stored_batch(count: int = 8) -> dict[str, np.ndarray[Any, Any]]:
    """Return a batch of random latents, channels last, with their rows and text embeddings."""
    random = np.random.default_rng(0)
    names = ("latents", "step_40", "step_50")
    batch: dict[str, np.ndarray[Any, Any]] = {
        name: random.standard_normal((count, 4, 4, 2)).astype(np.float16) for name in names
    }
    batch["row"] = np.arange(count)
    batch["text"] = random.standard_normal((count, 3)).astype(np.float16)
    return batch
