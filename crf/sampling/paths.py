"""The timesteps of a schedule on a teacher's noise schedule. A step is (timestep, timestep stepped to)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from crf.errors import ScheduleError
from crf.schedule import TEACHER_STEPS, Schedule

if TYPE_CHECKING:
    from crf.teacher.noise_schedule import NoiseSchedule

Steps = Sequence[tuple[float, float]]


def find_lead_path(noise_schedule: NoiseSchedule, schedule: Schedule) -> Steps:
    """List the steps before the CRF."""
    if schedule.solver == "dpm++":
        scheduler = noise_schedule.with_spacing(schedule.spacing).multistep()
        scheduler.set_timesteps(schedule.lead_of)
        timesteps = [*map(float, scheduler.timesteps), float(noise_schedule.final)]
        return list(pairwise(timesteps[: schedule.lead + 1]))
    if schedule.lead_of:
        return noise_schedule.with_spacing(schedule.spacing).path(schedule.lead_of)[: schedule.lead]
    to_timestep = noise_schedule.final if schedule.lead_to is None else schedule.lead_to
    stops = [round(float(t)) for t in np.linspace(schedule.lead_from, to_timestep, schedule.lead + 1)]
    return list(pairwise(stops))


def find_lead_end(noise_schedule: NoiseSchedule, schedule: Schedule) -> float:
    """Find the timestep at which the lead ends: 201 for "31/40" of the paper's teacher."""
    return find_lead_path(noise_schedule, schedule)[-1][1]


def find_tail_path(noise_schedule: NoiseSchedule, schedule: Schedule) -> Steps:
    """List the steps after the CRF."""
    if schedule.tail_timesteps:
        return list(pairwise((*schedule.tail_timesteps, noise_schedule.final)))
    path = noise_schedule.with_spacing(schedule.spacing).path
    return path(schedule.tail_of)[-schedule.tail :] if schedule.tail else []


def count_steps_before(noise_schedule: NoiseSchedule, timestep: int) -> int:
    """Count how many of the teacher's own 50 steps lead to the state at ``timestep``: 44 for 101.

    The fractional timesteps of flow matching are rounded. Raises ScheduleError if no step after the first starts at
    ``timestep``.
    """
    visited = [round(t) for t in noise_schedule.timesteps(TEACHER_STEPS)]
    if timestep not in visited[1:]:
        nearest = min(visited[1:], key=lambda t: abs(t - timestep))
        raise ScheduleError(
            f"a timestep that the teacher's {TEACHER_STEPS} steps visit", str(timestep), f"use {nearest}, the nearest"
        )
    return visited.index(timestep)
