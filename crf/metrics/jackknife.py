"""Intervals of Fréchet distances by a delete-a-group jackknife, from the moments of each group of captions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from typing import NamedTuple

import numpy as np
from scipy import stats

from crf.errors import InputError
from crf.metrics.frechet import compute_frechet_distance
from crf.metrics.moments import Array, Moments

MAX_GROUPS = 48
Groups = dict[int, Moments]


class JackknifeInterval(NamedTuple):
    """An estimate and the ends of its confidence interval."""

    value: float
    low: float
    high: float


def assign_groups(captions_N: Sequence[str] | Array, most: int = MAX_GROUPS) -> Array:
    """Assign each sample to a group by its caption, as numbers (N,). A caption's samples share a group.

    Each caption is a group of its own, unless there are more than ``most``: then they are dealt out evenly.
    """
    _, numbers_N = np.unique(np.asarray(captions_N), return_inverse=True)
    return np.asarray(numbers_N) % most


def group_moments(features_ND: Array, groups_N: Array) -> Groups:
    """Compute each group's moments."""
    return {int(group): Moments.of(features_ND[groups_N == group]) for group in np.unique(groups_N)}


def merge_groups(a: Groups, b: Groups) -> Groups:
    """Merge the moments of the groups of two parts of a set."""
    shared = {group: a[group].merge(b[group]) for group in a.keys() & b.keys()}
    return {**a, **b, **shared}


def estimate_frechet_distance(groups: Groups, reference: Moments, level: float = 0.95) -> JackknifeInterval:
    """Compute the Fréchet distance of a set to a reference, with its interval.

    The interval covers the choice of captions, not that of the reference, and not the distance's bias, which
    shrinks as the number of samples grows.

    Args:
        groups: Moments of the set's groups, at least 2.
        reference: Moments of the reference, e.g. of real images.
        level: Confidence level of the interval.

    Raises:
        InputError: There are fewer than 2 groups, or fewer than 2 samples without one of them.
    """
    value = compute_frechet_distance(merge_all(groups), reference)
    without = [compute_frechet_distance(rest, reference) for rest in leave_out_each(groups)]
    return _make_interval(value, without, level)


def estimate_frechet_difference(
    groups: Groups, baseline: Groups, reference: Moments, level: float = 0.95
) -> JackknifeInterval:
    """Compute by how much the Fréchet distance to a reference exceeds the baseline's, with its interval.

    Each group is left out of both sets, so that what their captions have in common cancels.

    Args:
        groups: Moments of the set's groups, at least 2.
        baseline: Moments of the baseline's groups, the same groups.
        reference: Moments of the reference, e.g. of real images.
        level: Confidence level of the interval.

    Raises:
        InputError: The groups differ, there are fewer than 2, or fewer than 2 samples without one of them.
    """
    if groups.keys() != baseline.keys():
        found = f"{len(groups)} and {len(baseline)} groups"
        raise InputError("the same groups of captions in both sets", found, "sample both with the same captions")

    def subtract(a: Moments, b: Moments) -> float:
        return compute_frechet_distance(a, reference) - compute_frechet_distance(b, reference)

    value = subtract(merge_all(groups), merge_all(baseline))
    pairs = zip(leave_out_each(groups), leave_out_each(baseline), strict=True)
    return _make_interval(value, [subtract(*pair) for pair in pairs], level)


def merge_all(groups: Groups) -> Moments:
    """Merge the moments of all groups of a set."""
    return reduce(Moments.merge, groups.values())


def leave_out_each(groups: Groups) -> Iterator[Moments]:
    """Yield the moments of the set without each of its groups, in the order of their numbers.

    Raises InputError for fewer than 2 groups.
    """
    if len(groups) < 2:
        raise InputError("at least 2 captions for an interval", f"{len(groups)}", "evaluate more captions")
    parts = [groups[group] for group in sorted(groups)]
    return _leave_out_each(parts, Moments.of(np.zeros((0, len(parts[0].mean_D)))))


def _leave_out_each(parts: list[Moments], others: Moments) -> Iterator[Moments]:
    """Yield ``others`` and all parts but the first, but the second, and so on.

    By halves, so that only a few moments are in memory at once, whatever the number of parts.
    """
    if len(parts) == 1:
        yield others
        return
    first, second = parts[: len(parts) // 2], parts[len(parts) // 2 :]
    yield from _leave_out_each(first, reduce(Moments.merge, second, others))
    yield from _leave_out_each(second, reduce(Moments.merge, first, others))


def _make_interval(value: float, without: list[float], level: float) -> JackknifeInterval:
    """Make the interval from the estimates without each group (Efron & Stein 1981)."""
    count = len(without)
    error = np.sqrt((count - 1) * np.var(without))
    half = float(stats.t.ppf((1 + level) / 2, count - 1) * error)
    return JackknifeInterval(value, value - half, value + half)
