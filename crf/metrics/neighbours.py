"""Precision, recall, density and coverage: which samples lie among the nearest neighbours of the other set."""

from typing import NamedTuple

import numpy as np

from crf.errors import InputError
from crf.metrics.blocks import split_rows
from crf.metrics.moments import Array

NEIGHBOURS = 5
MINIMUM = 1000


class Neighbourhoods(NamedTuple):
    """Shares of samples that lie in the other set's neighbourhoods.

    A sample's neighbourhood reaches to its k-th nearest neighbour in its own set.

    Args:
        precision: Share of generated samples in a real sample's neighbourhood (Kynkäänniemi et al. 2019, eq. 1).
        recall: Share of real samples in a generated sample's neighbourhood.
        density: Number of real neighbourhoods around a generated sample, divided by k (Naeem et al. 2020, eq. 3).
        coverage: Share of real neighbourhoods that hold a generated sample (eq. 4).
    """

    precision: float
    recall: float
    density: float
    coverage: float


def measure_neighbourhoods(
    generated_ND: Array, real_MD: Array, k: int = NEIGHBOURS, minimum: int = MINIMUM
) -> Neighbourhoods | None:
    """Compute precision, recall, density and coverage.

    Args:
        generated_ND: Features of the generated samples.
        real_MD: Features of the real samples.
        k: Number of neighbours.
        minimum: Number of samples per set below which the shares mean nothing and None is returned.

    Returns:
        The four shares, or None.

    Raises:
        InputError: A set has no more than k samples.
    """
    fewest = min(len(generated_ND), len(real_MD))
    if fewest < minimum:
        return None
    if fewest <= k:
        raise InputError(f"more than {k} samples per set", f"{fewest}", "evaluate more samples")
    generated_ND, real_MD = np.asarray(generated_ND, np.float64), np.asarray(real_MD, np.float64)
    generated_radii_N, real_radii_M = _find_radii(generated_ND, k), _find_radii(real_MD, k)
    around_N = np.zeros(len(generated_ND))
    recalled = covered = 0
    for rows_BD, radii_B in zip(split_rows(real_MD), split_rows(real_radii_M), strict=True):
        squared_BN = _square_distances(rows_BD, generated_ND)
        inside_BN = squared_BN < radii_B[:, None]
        around_N += inside_BN.sum(0)
        covered += int(inside_BN.any(1).sum())
        recalled += int((squared_BN < generated_radii_N).any(1).sum())
    total = len(real_MD)
    return Neighbourhoods(float((around_N > 0).mean()), recalled / total, float(around_N.mean()) / k, covered / total)


def _find_radii(x_ND: Array, k: int) -> Array:
    """Find each row's squared distance to its k-th nearest neighbour among the others; the nearest is itself."""
    return np.concatenate([np.partition(_square_distances(rows, x_ND), k, axis=1)[:, k] for rows in split_rows(x_ND)])


def _square_distances(a_ND: Array, b_MD: Array) -> Array:
    squared_NM: Array = (a_ND**2).sum(1)[:, None] + (b_MD**2).sum(1) - 2 * a_ND @ b_MD.T
    return squared_NM
