"""Local errors of sampling steps on the teacher's own trajectories, computed without the teacher's network.

A step of any linear solver ends at a weighted sum of states and x0 predictions. So its squared distance to the
teacher's own state is a quadratic form in the products of all of these, which are computed once per caption.

A trajectory has 51 stops: those of the 50 evaluations, and the end. Its 101 points are the 51 states, then the 50 x0
predictions. i, j: a stop where a step starts and ends; h: the stop before i.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor

    from crf.teacher.noise_schedule import NoiseSchedule

Array = npt.NDArray[np.float64]


def multiply_trajectory(states: list[Tensor], x0s: list[Tensor]) -> Any:
    """Compute the products of all pairs of points of a trajectory, averaged over the elements of a latent.

    Args:
        states: The 51 states, each (B, C, H, W).
        x0s: The 50 x0 predictions, each (B, C, H, W).

    Returns:
        float64 array (B, 101, 101).
    """
    import torch

    # One caption at a time: float64 takes twice the memory.
    points_BPD = torch.stack([*states, *x0s], 1).flatten(2)
    products = [(points_PD.double() @ points_PD.double().T / points_PD.shape[1]).cpu() for points_PD in points_BPD]
    return torch.stack(products).numpy()


def compute_levels(noise_schedule: NoiseSchedule, timesteps: list[float]) -> tuple[Array, Array]:
    """Compute the factors of x0 and of eps in the states at the stops."""
    stops = [*timesteps, noise_schedule.final]
    signal = np.array([float(noise_schedule.signal(timestep)) for timestep in stops])
    return signal, np.array([noise_schedule.noise_factor(timestep) for timestep in stops])


def compute_first_order(products_NPP: Array, signal: Array, noise: Array) -> Array:
    """Compute the mean error of every first-order step (DDIM, Euler).

    Args:
        products_NPP: The products of N captions, from ``multiply_trajectory``.
        signal: Factor of x0 at each of the S stops.
        noise: Factor of eps at each of the S stops.

    Returns:
        (S, S): the mean over captions of the root mean squared error over the signal; infinite unless i < j.
    """
    stops = len(signal)
    costs = np.full((stops, stops), np.inf)
    for i in range(stops - 1):
        for j in range(i + 1, stops):
            weights = np.array([*weigh_first_order(signal, noise, i, j), -1.0])
            costs[i, j] = measure(products_NPP, weights, [i, stops + i, j]) / signal[j]
    return costs


def compute_second_order(products_NPP: Array, signal: Array, noise: Array) -> Array:
    """Compute the mean error of every second-order multistep step, DPM-Solver++(2M).

    Returns:
        (S, S, S), by h, i and j; infinite unless h < i < j < S - 1: the step to the end has first order. As in
        ``compute_first_order``.
    """
    stops = len(signal)
    costs = np.full((stops, stops, stops), np.inf)
    for h in range(stops - 2):
        for i in range(h + 1, stops - 1):
            for j in range(i + 1, stops - 1):
                weights = np.array([*weigh_second_order(signal, noise, h, i, j), -1.0])
                costs[h, i, j] = measure(products_NPP, weights, [i, stops + i, stops + h, j]) / signal[j]
    return costs


def weigh_first_order(signal: Array, noise: Array, i: int, j: int) -> tuple[float, float]:
    """Return the weights of state i and of its x0 in the DDIM step to j (Song et al. 2021, eq. 12)."""
    ratio = noise[j] / noise[i]
    return float(ratio), float(signal[j] - ratio * signal[i])


def weigh_second_order(signal: Array, noise: Array, h: int, i: int, j: int) -> tuple[float, float, float]:
    """Return the weights of state i, its x0 and that of h in the step to j (Lu et al. 2022, alg. 2, midpoint)."""
    lambdas = np.log(np.maximum(signal[[h, i, j]], 1e-12)) - np.log(noise[[h, i, j]])
    ratio = (lambdas[1] - lambdas[0]) / (lambdas[2] - lambdas[1])
    whole = -signal[j] * np.expm1(lambdas[1] - lambdas[2])
    return float(noise[j] / noise[i]), float(whole * (1 + 0.5 / ratio)), float(-whole * 0.5 / ratio)


def measure(products_NPP: Array, weights: Array, points: list[int]) -> float:
    """Compute the mean over captions of the root mean square of a weighted sum of points."""
    squared_N = np.einsum("p,npq,q->n", weights, products_NPP[:, points][:, :, points], weights)
    return float(np.sqrt(np.maximum(squared_N, 0)).mean())
