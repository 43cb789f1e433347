"""Noise that depends only on the run's seed and the sample's id, not on workers, order or restarts."""

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def derive_seed(run_seed: int, sample_id: str) -> int:
    """Derive the seed of a sample's noise: 63 bits of the SHA-256 of run seed and sample id."""
    digest = hashlib.sha256(f"{run_seed}:{sample_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def sample_noise(seeds: list[int], shape_CHW: tuple[int, int, int]) -> "Tensor":
    """Draw noise, float32 (B, C, H, W), from one CPU generator per seed, so that batching never changes it."""
    import torch

    return torch.stack([torch.randn(shape_CHW, generator=torch.Generator().manual_seed(seed)) for seed in seeds])
