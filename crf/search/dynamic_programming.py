"""The best timesteps for every number of evaluations at once, by dynamic programming over local errors.

A path visits some of a trajectory's stops, from the first (0) to the last (S - 1). Its cost is the sum of the squared
errors of its steps.
"""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Paths = dict[int, list[int]]  # number of evaluations -> the stops that are evaluated


def find_first_order_paths(costs_SS: Array) -> Paths:
    """Find the best path of every length for a first-order solver.

    Args:
        costs_SS: Error of the step from i to j, infinite unless i < j.

    Returns:
        For 1 to S - 1 evaluations, the stops that are evaluated.
    """
    squared, stops = costs_SS**2, len(costs_SS)
    best = np.full((stops, stops), np.inf)  # [number of steps, stop reached]
    before = np.zeros((stops, stops), dtype=int)
    best[0, 0] = 0
    for count in range(1, stops):
        totals = best[count - 1][:, None] + squared
        before[count], best[count] = totals.argmin(0), totals.min(0)
    return {count: trace_back(before, count) for count in range(1, stops) if np.isfinite(best[count, -1])}


def trace_back(before: npt.NDArray[np.int_], count: int) -> list[int]:
    """Follow the best predecessors back from the end."""
    path = [before.shape[1] - 1]
    for steps in range(count, 0, -1):
        path.append(int(before[steps, path[-1]]))
    return path[:0:-1]


def find_second_order_paths(first_SS: Array, second_SSS: Array) -> Paths:
    """Find the best path of every length for a second-order multistep solver, whose first and last steps have order 1.

    Args:
        first_SS: Error of the first-order step from i to j, infinite unless i < j.
        second_SSS: Error of the second-order step from i to j with h before i, infinite unless h < i < j.

    Returns:
        For 1 to S - 1 evaluations, the stops that are evaluated.
    """
    first, second, stops = first_SS**2, second_SSS[:-1, :-1, :-1] ** 2, len(first_SS)
    best = first[:-1, :-1]  # [h, i]: the last two stops that are evaluated
    paths: Paths = {1: [0]}
    trace: list[npt.NDArray[np.int_]] = []
    for count in range(2, stops):
        if count == 2:
            best = np.where(np.arange(stops - 1)[:, None] == 0, best, np.inf)
        else:
            totals = best[:, :, None] + second  # [h, i, j]
            trace.append(totals.argmin(0))
            best = totals.min(0)
        ends = best + first[None, :-1, -1]
        if np.isfinite(ends.min()):
            h, i = np.unravel_index(int(ends.argmin()), ends.shape)
            paths[count] = trace_pairs(trace, int(h), int(i))
    return paths


def trace_pairs(trace: list[npt.NDArray[np.int_]], h: int, i: int) -> list[int]:
    """Follow the best predecessors back from the last two stops that are evaluated."""
    path = [i, h]
    for predecessors in reversed(trace):
        path.append(int(predecessors[path[-1], path[-2]]))
    return path[::-1]
