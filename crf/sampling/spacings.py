"""Families of timesteps for a lead: evenly spaced, by a power, Karras's, and those of Align Your Steps."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from crf.errors import ScheduleError
from crf.schedule import TEACHER_STEPS

if TYPE_CHECKING:
    from crf.teacher.noise_schedule import NoiseSchedule

KARRAS_RHO = 7
# Timesteps for 10 steps, found for these two models (Sabour et al. 2024, arXiv 2404.14507, published with the paper).
AYS = {
    "ays": (999, 850, 736, 645, 545, 455, 343, 233, 124, 24),
    "ays-xl": (999, 845, 730, 587, 443, 310, 193, 116, 53, 13),
}


def space_timesteps(
    noise_schedule: NoiseSchedule, spacing: str, count: int, first: float, last: float | None
) -> list[float]:
    """List the timesteps of a lead of ``count`` evaluations, and the one at which it ends.

    Args:
        noise_schedule: The teacher's noise schedule.
        spacing: As in ``Schedule``.
        count: Number of evaluations.
        first: Timestep of the first evaluation.
        last: Timestep at which the lead ends. None: where no noise is left.

    Returns:
        ``count`` + 1 descending timesteps.

    Raises:
        ScheduleError: Two timesteps would be equal, because there are too many.
    """
    end = noise_schedule.final if last is None else last
    parts = np.linspace(0, 1, count + 1)
    if spacing == "karras":
        stops = space_like_karras(noise_schedule, count, first, last)
    elif spacing in AYS:
        stops = interpolate_published(AYS[spacing], parts, first, last, noise_schedule.final)
    elif spacing.startswith("power "):
        # Without an end, power 1 gives steps as long as a full schedule's; the last one passes 0.
        span = 1000 if last is None else first - last
        stops = list(first - span * parts ** float(spacing.removeprefix("power ")))
    else:
        stops = list(np.linspace(first, end, count + 1))
    rounded = [first, *(noise_schedule.round_timestep(float(stop)) for stop in stops[1:-1]), end]
    if any(a <= b for a, b in pairwise(rounded)):
        raise ScheduleError(f"{count} timesteps that fall from {first} to {end}", str(rounded), "ask for fewer")
    return rounded


def interpolate_published(
    timesteps: tuple[int, ...], parts: npt.NDArray[np.float64], first: float, last: float | None, final: float
) -> list[float]:
    """Interpolate published timesteps over the number of the step. For a lead with an end, shrink them to its range."""
    stops = np.interp(parts * len(timesteps), range(len(timesteps) + 1), [*timesteps, final])
    if last is not None:
        stops = last + (stops - final) * (first - last) / (timesteps[0] - final)
    return [float(stop) for stop in stops]


def space_like_karras(noise_schedule: NoiseSchedule, count: int, first: float, last: float | None) -> list[float]:
    """Space the noise levels evenly in their seventh root (Karras et al. 2022, eq. 5).

    Without an end, the last evaluation is where the last of the teacher's own steps is.
    """
    ending = noise_schedule.timesteps(TEACHER_STEPS)[-1] if last is None else last
    root_first, root_end = (noise_schedule.noise_level(timestep) ** (1 / KARRAS_RHO) for timestep in (first, ending))
    levels = np.linspace(root_first, root_end, count if last is None else count + 1) ** KARRAS_RHO
    stops = [noise_schedule.find_timestep(float(level)) for level in levels]
    return [*stops, noise_schedule.final] if last is None else stops
