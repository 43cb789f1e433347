"""Run a schedule: the teacher's steps, the hand-over, the CRF, the last steps."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from crf.errors import ScheduleError
from crf.model.latent_crf import LatentCRF
from crf.schedule import Schedule
from crf.teacher.families import Condition
from crf.teacher.teacher import Teacher

Generators = torch.Generator | list[torch.Generator]
OnStep = Callable[[float, Tensor], Tensor]  # (timestep of the evaluation, state after it) -> state to go on with


@dataclass(frozen=True)
class Trajectory:
    """Where a trajectory stands: the state at ``timestep``, and the last evaluation's (x0, eps); all BCHW."""

    state: Tensor
    timestep: float
    x0: Tensor
    eps: Tensor


def follow(
    teacher: Teacher,
    state: Tensor,
    path: Sequence[tuple[float, float]],
    given: Condition,
    on_step: OnStep | None = None,
) -> Trajectory:
    """DDIM, or Euler steps of the flow, along ``path``: pairs of (timestep of the evaluation, timestep stepped to)."""
    for timestep, to_timestep in path:
        z, output = state, teacher.guided_output(state, timestep, given)
        state = teacher.noise_schedule.advance(output, z, timestep, to_timestep)
        if on_step:
            state = on_step(timestep, state)
    return Trajectory(state, to_timestep, *teacher.noise_schedule.split(output, z, timestep))


def lead(
    teacher: Teacher, schedule: Schedule, noise_BCHW: Tensor, given: Condition, on_step: OnStep | None = None
) -> Trajectory:
    """The schedule's first part, from noise."""
    if schedule.solver == "dpm++":
        return follow_multistep(teacher, schedule, noise_BCHW, given, on_step)
    return follow(teacher, noise_BCHW.to(teacher.device, teacher.dtype), lead_path(teacher, schedule), given, on_step)


def lead_path(teacher: Teacher, schedule: Schedule) -> Sequence[tuple[float, float]]:
    """Where the first evaluations stand."""
    if schedule.lead_of:
        return teacher.noise_schedule.with_spacing(schedule.spacing).path(schedule.lead_of)[: schedule.lead]
    to_timestep = teacher.noise_schedule.final if schedule.lead_to is None else schedule.lead_to
    stops = [round(float(t)) for t in np.linspace(schedule.lead_from, to_timestep, schedule.lead + 1)]
    return list(pairwise(stops))


def follow_multistep(
    teacher: Teacher, schedule: Schedule, noise_BCHW: Tensor, given: Condition, on_step: OnStep | None = None
) -> Trajectory:
    """The same by DPM-Solver++, as diffusers has it."""
    scheduler = teacher.noise_schedule.with_spacing(schedule.spacing).multistep()
    scheduler.set_timesteps(schedule.lead_of, device=teacher.device)
    state = noise_BCHW.to(teacher.device, teacher.dtype)
    timesteps = [*scheduler.timesteps, torch.tensor(teacher.noise_schedule.final)][: schedule.lead + 1]
    for timestep in timesteps[:-1]:
        z, output = state, teacher.guided_output(state, float(timestep), given)
        state = scheduler.step(output, timestep, z, return_dict=False)[0]
        if on_step:
            state = on_step(float(timestep), state)
    return Trajectory(state, float(timesteps[-1]), *teacher.noise_schedule.split(output, z, float(timestep)))


def tail_path(teacher: Teacher, schedule: Schedule) -> Sequence[tuple[float, float]]:
    """Where the last evaluations stand."""
    if schedule.tail_timesteps:
        return list(
            zip(schedule.tail_timesteps, (*schedule.tail_timesteps[1:], teacher.noise_schedule.final), strict=True)
        )
    path = teacher.noise_schedule.with_spacing(schedule.spacing).path
    return path(schedule.tail_of)[-schedule.tail :] if schedule.tail else []


@torch.no_grad()
def finish(
    teacher: Teacher,
    schedule: Schedule,
    reached: Trajectory,
    given: Condition,
    crf: LatentCRF | None = None,
    on_step: OnStep | None = None,
    generator: Generators | None = None,
) -> Tensor:
    """What follows the first part -> final latents. ``generator``: of "fresh" noise."""
    path = tail_path(teacher, schedule)
    clean = None
    if schedule.middle == "crf":
        infer = require_crf(schedule, crf)
        clean = infer(reached.state, given.pooled_BD.to(reached.state.dtype), reached.x0)
    elif schedule.middle == "x0":
        clean = reached.x0
    if not path:
        return reached.state if clean is None else clean
    state = reached.state
    if clean is not None:
        state = renoise(teacher, schedule, reached, clean, path[0][0], generator)
    return follow(teacher, state, path, given, on_step).state


def require_crf(schedule: Schedule, crf: LatentCRF | None) -> LatentCRF:
    """The CRF; raises ScheduleError where there is none."""
    if crf is None:
        raise ScheduleError(f"the schedule '{schedule}' needs a CRF, and none was given; give one, or '50/50'")
    return crf


def renoise(
    teacher: Teacher,
    schedule: Schedule,
    reached: Trajectory,
    clean: Tensor,
    timestep: float,
    generator: Generators | None = None,
) -> Tensor:
    """From clean latents to what the evaluation at ``timestep`` is given."""
    if schedule.renoise == "direct":
        return clean
    if schedule.renoise == "recomputed":
        noise = teacher.noise_schedule.noise(reached.state, clean, reached.timestep)
    elif schedule.renoise == "consistent":
        noise = reached.eps
    else:
        noise = randn_tensor(clean.shape, generator, clean.device, clean.dtype)
    return teacher.noise_schedule.step(clean, noise, timestep)
