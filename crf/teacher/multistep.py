"""Multistep solvers of the probability-flow ODE, by diffusers' own schedulers, on any timesteps."""

from collections.abc import Sequence
from typing import Any

import torch
from diffusers import DPMSolverMultistepScheduler, UniPCMultistepScheduler

# Solver -> diffusers' class and what makes it this solver, whatever the teacher's config says.
SOLVERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "dpm++": (DPMSolverMultistepScheduler, {"algorithm_type": "dpmsolver++", "solver_order": 2}),
    "dpm++3m": (DPMSolverMultistepScheduler, {"algorithm_type": "dpmsolver++", "solver_order": 3}),
    "unipc": (UniPCMultistepScheduler, {"solver_order": 2, "predict_x0": True}),
}


def make_multistep(solver: str, config: dict[str, Any]) -> Any:
    """Make diffusers' scheduler of a solver, with the solver's own timesteps."""
    scheduler, changes = SOLVERS[solver]
    return scheduler.from_config({**config, **changes})


def place_multistep(
    solver: str, config: dict[str, Any], stops: Sequence[float], sigmas: Sequence[float], whole: bool
) -> Any:
    """Make diffusers' scheduler of a solver for given timesteps.

    Args:
        solver: Key of ``SOLVERS``.
        config: The scheduler's config.
        stops: Timesteps of the N evaluations, then the one at which the last step ends.
        sigmas: The N + 1 noise levels at ``stops``, as diffusers defines them for this kind of schedule.
        whole: Whether the last step ends the sampling. It then has first order: it covers most of the remaining
            levels at once, and second order is far off there.

    Returns:
        The scheduler. Its steps start where the first stop is and end at the last noise level exactly.
    """
    ending = {"final_sigmas_type": "sigma_min" if sigmas[-1] else "zero", "lower_order_final": whole}
    if SOLVERS[solver][0] is DPMSolverMultistepScheduler:
        ending["euler_at_final"] = whole
    scheduler = make_multistep(solver, {**config, **ending})
    scheduler.set_timesteps(len(stops) - 1)
    scheduler.timesteps, scheduler.sigmas = torch.tensor(stops[:-1]), torch.tensor(sigmas)
    return scheduler
