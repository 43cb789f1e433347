"""Drop the candidates that are surely worse, and choose among those that are left."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from crf.front import FrontPoint
from crf.statistics.comparisons import compare_errors
from crf.statistics.intervals import log_errors

Errors = Mapping[str, npt.NDArray[Any]]  # schedule -> latent MSE per sample
SURE = 0.05


def rank(errors: Errors) -> list[str]:
    """List the schedules from the smallest geometric mean error to the largest."""
    return sorted(errors, key=lambda schedule: float(log_errors(errors[schedule]).mean()))


def choose(errors: Errors) -> str:
    """Return the schedule with the smallest mean error among schedules of which none is surely the best.

    The mean, because a few captions on which a schedule fails weigh most in it, and hardly in a geometric mean.
    """
    return min(errors, key=lambda schedule: float(np.mean(errors[schedule])))


def drop_worse(errors: Errors, captions_N: npt.NDArray[Any], most: int) -> list[str]:
    """List the schedules that may be the best, from the best on.

    A schedule is dropped if its errors are larger than the best one's on the same samples, with a two-sided p-value
    below 5 %.

    Args:
        errors: The errors (N,) of each schedule.
        captions_N: The caption of each sample.
        most: Number of schedules to keep at most.
    """
    ranked = rank(errors)
    kept = []
    for schedule in ranked:
        compared = compare_errors(errors[schedule], errors[ranked[0]], captions_N)
        if schedule == ranked[0] or compared.p is None or compared.p >= SURE:
            kept.append(schedule)
    return kept[:most]


def recommend(points: Sequence[FrontPoint], limit: float) -> int | None:
    """Return the evaluations of the cheapest schedule whose error is below a limit; None if none is.

    Its error counts by the upper end of its interval. The cheapest has the fewest passes.
    """
    within = [point for point in points if point.high <= limit]
    return min(within, key=lambda point: point.passes).evaluations if within else None
