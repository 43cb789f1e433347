"""Confidence intervals of means over captions, and the summary of a method's errors."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import stdtr, stdtrit

from crf.statistics.clusters import Values, average_captions

LEVEL = 0.95
"""Confidence level of every interval."""
SMALLEST_ERROR = 1e-10
"""A smaller squared error counts as this in a logarithm: below it lies the rounding of the stored latents."""


@dataclass(frozen=True)
class Interval:
    """A value with its confidence interval. The interval and ``p`` are None with fewer than two captions.

    ``p``: two-sided p-value of the hypothesis that the value is 0.
    """

    value: float
    low: float | None
    high: float | None
    p: float | None

    def to_dict(self, name: str) -> dict[str, Any]:
        """Return the value, under ``name``, and its interval as JSON types."""
        return {name: self.value, "low": self.low, "high": self.high}


@dataclass(frozen=True)
class ErrorSummary:
    """A method's errors over the captions.

    The interval is that of the mean. ``p95`` is the 95th percentile of the captions' means.
    """

    mean: float
    low: float | None
    high: float | None
    geometric_mean: float
    p95: float


def estimate_mean(values_K: Values) -> Interval:
    """Estimate the mean of independent values by Student's t-interval, with K - 1 degrees of freedom."""
    mean = float(values_K.mean())
    if len(values_K) < 2:
        return Interval(mean, None, None, None)
    freedom = len(values_K) - 1
    error = float(values_K.std(ddof=1)) / np.sqrt(len(values_K))
    half = float(stdtrit(freedom, (1 + LEVEL) / 2)) * error
    if error == 0:
        return Interval(mean, mean, mean, float(mean == 0))
    return Interval(mean, mean - half, mean + half, float(2 * stdtr(freedom, -abs(mean) / error)))


def summarize_errors(errors_N: Values, captions_N: Values) -> ErrorSummary:
    """Summarize the errors of a method's samples, given the caption of each."""
    means_K = average_captions(errors_N, captions_N)
    estimated = estimate_mean(means_K)
    return ErrorSummary(
        mean=estimated.value,
        low=estimated.low,
        high=estimated.high,
        geometric_mean=float(np.exp(average_captions(log_errors(errors_N), captions_N).mean())),
        p95=float(np.quantile(means_K, 0.95)),
    )


def log_errors(errors_N: Values) -> Values:
    """Take the logarithm of squared errors. It makes heavy-tailed errors comparable."""
    logarithms_N: Values = np.log(np.maximum(np.asarray(errors_N, np.float64), SMALLEST_ERROR))
    return logarithms_N
