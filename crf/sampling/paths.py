"""The timesteps of a schedule on a teacher's noise schedule. A step is (timestep, timestep stepped to)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from crf.errors import ScheduleError
from crf.sampling.guidance import plan_guidance
from crf.sampling.spacings import space_timesteps
from crf.schedule import TEACHER_STEPS, Schedule

if TYPE_CHECKING:
    from crf.teacher.noise_schedule import NoiseSchedule

Steps = Sequence[tuple[float, float]]


def find_lead_path(noise_schedule: NoiseSchedule, schedule: Schedule) -> Steps:
    """List the steps before the CRF.

    Raises:
        ScheduleError: The teacher's network takes no such timestep, or there are too many.
    """
    if not schedule.lead_of:
        return list(pairwise(find_lead_stops(noise_schedule, schedule)))
    spaced = noise_schedule.with_spacing(schedule.step_spacing)
    if schedule.solver == "ddim":
        return spaced.path(schedule.lead_of)[: schedule.lead]
    scheduler = spaced.multistep(schedule.solver)
    scheduler.set_timesteps(schedule.lead_of)
    timesteps = [*map(float, scheduler.timesteps), float(noise_schedule.final)]
    return list(pairwise(timesteps[: schedule.lead + 1]))


def find_lead_stops(noise_schedule: NoiseSchedule, schedule: Schedule) -> list[float]:
    """List the timesteps of a lead with timesteps of its own, and the one at which it ends."""
    if schedule.lead_timesteps:
        end = noise_schedule.final if schedule.lead_to is None else schedule.lead_to
        return [*map(noise_schedule.check_timestep, schedule.lead_timesteps), end]
    first = noise_schedule.check_timestep(schedule.lead_from)
    return space_timesteps(noise_schedule, schedule.spacing, schedule.lead, first, schedule.lead_to)


def make_multistep(noise_schedule: NoiseSchedule, schedule: Schedule) -> Any:
    """Make diffusers' scheduler that takes the lead's steps."""
    if not schedule.lead_of:
        return noise_schedule.multistep_at(schedule.solver, find_lead_stops(noise_schedule, schedule))
    scheduler = noise_schedule.with_spacing(schedule.step_spacing).multistep(schedule.solver)
    scheduler.set_timesteps(schedule.lead_of)
    return scheduler


def list_timesteps(noise_schedule: NoiseSchedule, schedule: Schedule) -> list[float]:
    """List the timesteps of all evaluations, lead and tail."""
    steps = [*find_lead_path(noise_schedule, schedule), *find_tail_path(noise_schedule, schedule)]
    return [timestep for timestep, _ in steps]


def count_passes(noise_schedule: NoiseSchedule, schedule: Schedule, guided: bool, shallow: float) -> float:
    """Count the passes through the teacher's network: two per evaluation whose guidance is computed.

    Args:
        noise_schedule: The teacher's noise schedule.
        schedule: The schedule.
        guided: Whether there is guidance at all.
        shallow: Cost of an evaluation that reuses deep features (DeepCache), as a share of a whole one.
    """
    timesteps = list_timesteps(noise_schedule, schedule)
    costs = [2.0 if guided and guidance == "computed" else 1.0 for guidance in plan_guidance(schedule, timesteps)]
    # Lead and tail each begin with a whole evaluation.
    places = [*range(schedule.lead), *range(schedule.tail)]
    return sum(
        cost if place % schedule.deepcache == 0 else cost * shallow for cost, place in zip(costs, places, strict=True)
    )


def find_lead_end(noise_schedule: NoiseSchedule, schedule: Schedule) -> float:
    """Find the timestep at which the lead ends: 201 for "31/40" of the paper's teacher."""
    return find_lead_path(noise_schedule, schedule)[-1][1]


def find_tail_path(noise_schedule: NoiseSchedule, schedule: Schedule) -> Steps:
    """List the steps after the CRF."""
    if schedule.tail_timesteps:
        timesteps = map(noise_schedule.check_timestep, schedule.tail_timesteps)
        return list(pairwise((*timesteps, noise_schedule.final)))
    path = noise_schedule.with_spacing(schedule.step_spacing).path
    return path(schedule.tail_of)[-schedule.tail :] if schedule.tail else []


def find_next_timestep(noise_schedule: NoiseSchedule, schedule: Schedule) -> float:
    """Find the timestep of the first evaluation after the middle, or the final one if there is none."""
    path = find_tail_path(noise_schedule, schedule)
    return path[0][0] if path else noise_schedule.final


def count_steps_before(noise_schedule: NoiseSchedule, timestep: float) -> int:
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
    return visited.index(int(timestep))


def check_rollout(text: str) -> Schedule:
    """Parse the schedule of a roll-out. Raises ScheduleError unless it is a lead to the end that the CRF corrects."""
    schedule = Schedule.parse(text)
    if not schedule.corrections or schedule != schedule.first or schedule.lead_to is not None:
        raise ScheduleError("one lead to the end, with CRFs inside", repr(text), "write one like '2@981,501 + crf'")
    return schedule


def find_rollout_stops(noise_schedule: NoiseSchedule, schedule: Schedule) -> dict[float, int]:
    """Find how many of the teacher's own 50 steps lead to each state that a corrected evaluation steps to.

    Raises ScheduleError if the teacher's own steps do not visit one of them.
    """
    path = find_lead_path(noise_schedule, schedule)
    ends = [path[number - 1][1] for number in schedule.corrections]
    final = noise_schedule.final
    return {end: TEACHER_STEPS if end <= final else count_steps_before(noise_schedule, end) for end in ends}
