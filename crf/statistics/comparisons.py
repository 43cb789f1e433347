"""Paired comparisons of two methods on the same samples, and what many comparisons at once need."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crf.statistics.clusters import Values, average_captions
from crf.statistics.intervals import Interval, estimate_mean, log_errors


@dataclass(frozen=True)
class Ratio:
    """The ratio of two methods' geometric mean errors; below 1, the first method is better.

    ``p``: two-sided p-value of the hypothesis that the ratio is 1. ``wins``: captions on which the first method's
    geometric mean error is smaller. The interval and ``p`` are None with fewer than two captions.
    """

    ratio: float
    low: float | None
    high: float | None
    p: float | None
    wins: int
    captions: int


def compare_errors(errors_N: Values, baseline_N: Values, captions_N: Values) -> Ratio:
    """Compare the errors of a method with those of a baseline on the same samples, on a log scale.

    The interval is Student's t-interval of the captions' mean log ratios, exponentiated.

    Args:
        errors_N: The method's error per sample.
        baseline_N: The baseline's error per sample.
        captions_N: The caption of each sample, as any label.
    """
    logs_K = average_captions(log_errors(errors_N) - log_errors(baseline_N), captions_N)
    found = estimate_mean(logs_K)
    low, high = (None if bound is None else float(np.exp(bound)) for bound in (found.low, found.high))
    return Ratio(float(np.exp(found.value)), low, high, found.p, int((logs_K < 0).sum()), len(logs_K))


def estimate_difference(values_N: Values, baseline_N: Values, captions_N: Values) -> Interval:
    """Estimate the mean difference of a method's values from a baseline's on the same samples."""
    return estimate_mean(average_captions(np.asarray(values_N, np.float64) - baseline_N, captions_N))


def adjust_holm(p_values: Sequence[float]) -> list[float]:
    """Adjust the p-values of a family of comparisons by Holm's method (Holm 1979), in the given order.

    If the comparisons whose adjusted p-value is below 0.05 are called significant, the probability that any of them
    is so by chance is at most 0.05.
    """
    p_values_M = np.asarray(p_values, np.float64)
    order_M = np.argsort(p_values_M, kind="stable")
    factors_M = np.arange(len(p_values_M), 0, -1)
    adjusted_M = np.empty_like(p_values_M)
    adjusted_M[order_M] = np.minimum(1, np.maximum.accumulate(p_values_M[order_M] * factors_M))
    return [float(p) for p in adjusted_M]


def compute_kendall_tau(first: Sequence[float], second: Sequence[float]) -> float:
    """Compute Kendall's rank correlation tau-b: 1 if both sequences rank alike, -1 if they rank in reverse."""
    from scipy.stats import kendalltau

    return float(kendalltau(first, second).statistic)
