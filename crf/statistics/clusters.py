"""The unit of all statistics is the caption: several noises of one caption are a cluster, not independent samples."""

from typing import Any

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[Any]  # (N,) per sample, or (K,) per caption


def average_captions(values_N: Values, captions_N: Values) -> Values:
    """Average the samples of each caption, in float64.

    Args:
        values_N: One value per sample.
        captions_N: The caption of each sample, as any label. Captions may have different numbers of samples.

    Returns:
        One mean per caption, (K,), in the order of the sorted labels.
    """
    _, places_N, counts_K = np.unique(captions_N, return_inverse=True, return_counts=True)
    sums_K = np.bincount(places_N, weights=np.asarray(values_N, np.float64))
    means_K: Values = sums_K / counts_K
    return means_K
