"""KID, the kernel distance of two sets of features."""

import numpy as np

from crf.errors import InputError
from crf.metrics.blocks import split_rows
from crf.metrics.moments import Array


def compute_kernel_distance(a_ND: Array, b_MD: Array) -> float:
    """Compute KID: the unbiased squared maximum mean discrepancy of all rows (Binkowski et al. 2018, eq. 4).

    The kernel is (x . y / D + 1)^3. The estimate is unbiased, so it can be negative.

    Raises InputError for fewer than 2 rows.
    """
    a_ND, b_MD = np.asarray(a_ND, np.float64), np.asarray(b_MD, np.float64)
    if min(len(a_ND), len(b_MD)) < 2:
        raise InputError("at least 2 samples per set", f"{len(a_ND)} and {len(b_MD)}", "evaluate more samples")
    across = _sum_kernel(a_ND, b_MD) / (len(a_ND) * len(b_MD))
    return _average_pairs(a_ND) + _average_pairs(b_MD) - 2 * across


def _average_pairs(x_ND: Array) -> float:
    """Average the kernel over all pairs of two different rows."""
    diagonal = float((((x_ND**2).mean(1) + 1) ** 3).sum())
    return (_sum_kernel(x_ND, x_ND) - diagonal) / (len(x_ND) * (len(x_ND) - 1))


def _sum_kernel(a_ND: Array, b_MD: Array) -> float:
    width = a_ND.shape[1]
    return sum(float(((rows_BD @ b_MD.T / width + 1) ** 3).sum()) for rows_BD in split_rows(a_ND))
