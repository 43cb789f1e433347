"""Count, mean and covariance of features, computed in parts that merge. N: rows, D: features, R: rows of a factor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from crf.errors import InputError

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Moments:
    """The count, the mean and the scatter of rows of features, in float64.

    Moments of parts merge to those of the whole, up to rounding, in any split and order. Their size depends on D
    alone, not on the number of rows.

    Args:
        count: Number of rows.
        mean_D: Mean of the rows.
        factor_RD: A factor F of the scatter matrix F^T F, the sum of the centred rows' outer products; at most 2D
            rows. The factor keeps twice the digits that the scatter matrix would, and with fewer rows than features
            it is the smaller of the two.
    """

    count: int
    mean_D: Array
    factor_RD: Array

    @classmethod
    def of(cls, features_ND: Array) -> Self:
        """Compute the moments of rows of features. No rows give the neutral element of ``merge``."""
        features_ND = np.asarray(features_ND, np.float64)
        mean_D = features_ND.sum(0) / max(1, len(features_ND))
        scattered_RD = features_ND if len(features_ND) > 1 else features_ND[:0]  # one row is its own mean
        return cls(len(features_ND), mean_D, shorten(scattered_RD - mean_D))

    def merge(self, other: Moments) -> Moments:
        """Return the moments of both sets of rows together (Chan et al. 1979, eq. 2.1)."""
        count = self.count + other.count
        shift_D = other.mean_D - self.mean_D
        weight = self.count * other.count / max(1, count)
        between_1D = np.sqrt(weight) * shift_D[None]
        factor_RD = shorten(np.concatenate([self.factor_RD, other.factor_RD, between_1D]))
        return Moments(count, self.mean_D + shift_D * other.count / max(1, count), factor_RD)

    def covariance_factor(self) -> Array:
        """Return a factor F (R, D) of the covariance matrix F^T F, with R at most D.

        Raises InputError for fewer than 2 rows, which have no covariance.
        """
        if self.count < 2:
            raise InputError("at least 2 samples", f"{self.count}", "evaluate more samples")
        factor_RD: Array = shorten(self.factor_RD, excess=1) / np.sqrt(self.count - 1)
        return factor_RD


def shorten(factor_RD: Array, excess: int = 2) -> Array:
    """Return a factor of the same matrix F^T F with D rows, if it has more than ``excess`` times D."""
    rows, width = factor_RD.shape
    return np.asarray(np.linalg.qr(factor_RD, mode="r")) if rows > excess * width else factor_RD
