"""Pairs of random sets of features on which metrics are compared with other libraries. Imports numpy alone."""

from typing import Any

import numpy as np

Pair = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


def make_sets(count_a: int, count_b: int, width: int, falls: float = 1) -> Pair:
    """Make two sets whose features' scales fall from 1 to ``falls``, and rise in the other set."""
    random = np.random.default_rng(0)
    scale_D = np.geomspace(1, falls, width)
    mix_DD = np.linalg.qr(random.standard_normal((width, width)))[0]
    a = (random.standard_normal((count_a, width)) * scale_D) @ mix_DD
    return a, (random.standard_normal((count_b, width)) * scale_D[::-1] + 0.5 * scale_D) @ mix_DD


SETS = {
    "well conditioned": make_sets(400, 300, 16),
    "badly conditioned": make_sets(400, 300, 16, 1e-5),
    "fewer samples than features": make_sets(24, 40, 64),
    "one set has fewer": make_sets(24, 200, 64),
    "badly conditioned, fewer": make_sets(24, 40, 64, 1e-5),
    "two samples": make_sets(2, 2, 8),
}
