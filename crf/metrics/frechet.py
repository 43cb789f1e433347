"""The Fréchet distance of two sets of features."""

import numpy as np

from crf.metrics.moments import Moments


def compute_frechet_distance(a: Moments, b: Moments) -> float:
    """Compute the squared Fréchet distance of two Gaussians fitted to features (Heusel et al. 2017, eq. 6).

    tr sqrt(Sa Sb) is the nuclear norm of A B^T, with Sa = A^T A and Sb = B^T B. This is exact for any number of
    rows. However, with fewer rows than features a covariance is singular, and the distance says more about the
    number of rows than about the images: compare only distances of equally many rows.

    Args:
        a: Moments of one set, at least 2 rows.
        b: Moments of the other.

    Returns:
        The squared distance, at least 0.

    Raises:
        InputError: A set has fewer than 2 rows.
    """
    a_RD, b_SD = a.covariance_factor(), b.covariance_factor()
    cross = np.linalg.svd(a_RD @ b_SD.T, compute_uv=False).sum()
    squared = ((a.mean_D - b.mean_D) ** 2).sum() + (a_RD**2).sum() + (b_SD**2).sum() - 2 * cross
    return max(0.0, float(squared))  # rounding can leave equal sets a hair below zero
