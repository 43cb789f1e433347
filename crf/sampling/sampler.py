"""Run a schedule: the lead, the CRF, the renoising, the tail."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from crf.errors import ScheduleError
from crf.model.latent_crf import LatentCRF
from crf.sampling.deepcache import cache_features
from crf.sampling.paths import find_lead_path, find_tail_path, make_multistep
from crf.schedule import Schedule
from crf.teacher.families import Condition
from crf.teacher.teacher import Teacher

Generators = torch.Generator | list[torch.Generator]
OnStep = Callable[[float, Tensor], Tensor]  # (timestep of the evaluation, state after it) -> state to continue with


@dataclass(frozen=True)
class Trajectory:
    """A point on a trajectory: the state at ``timestep``, and x0 and eps of the last evaluation; all (B, C, H, W)."""

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
    """Take the teacher's own steps, DDIM or Euler, along a path.

    Args:
        teacher: The teacher.
        state: The state (B, C, H, W) at the first timestep of ``path``.
        path: The steps, as (timestep of the evaluation, timestep stepped to); at least one.
        given: The condition of the B rows.
        on_step: Called after each evaluation; returns the state to continue with.

    Returns:
        The point at the end of the path.
    """
    for timestep, to_timestep in path:
        z, output = state, teacher.guided_output(state, timestep, given)
        state = teacher.noise_schedule.advance(output, z, timestep, to_timestep)
        if on_step:
            state = on_step(timestep, state)
    return Trajectory(state, to_timestep, *teacher.noise_schedule.split(output, z, timestep))


def run_lead(
    teacher: Teacher, schedule: Schedule, noise_BCHW: Tensor, given: Condition, on_step: OnStep | None = None
) -> Trajectory:
    """Run the schedule's lead from noise (B, C, H, W), in its dtype, and return the point at its end."""
    teacher, given = prepare(teacher, schedule, given)
    state = noise_BCHW.to(teacher.device)
    if schedule.solver == "ddim":
        return follow(teacher, state, find_lead_path(teacher.noise_schedule, schedule), given, on_step)
    return follow_multistep(teacher, schedule, state, given, on_step)


def prepare(teacher: Teacher, schedule: Schedule, given: Condition) -> tuple[Teacher, Condition]:
    """Return the teacher with the schedule's DeepCache, and the condition with its range of guidance."""
    if schedule.deepcache > 1:
        teacher = cache_features(teacher, schedule.deepcache, schedule.extrapolated)
    return teacher, replace(given, is_guided_at=schedule.is_guided_at)


def follow_multistep(
    teacher: Teacher, schedule: Schedule, state: Tensor, given: Condition, on_step: OnStep | None = None
) -> Trajectory:
    """Run the schedule's lead by diffusers' multistep solver, and return the point at its end."""
    scheduler = make_multistep(teacher.noise_schedule, schedule)
    path = find_lead_path(teacher.noise_schedule, schedule)
    for (timestep, _), given_timestep in zip(path, scheduler.timesteps, strict=False):  # a lead may end before
        z, output = state, teacher.guided_output(state, timestep, given)
        state = scheduler.step(output, given_timestep, z, return_dict=False)[0]
        if on_step:
            state = on_step(timestep, state)
    return Trajectory(state, path[-1][1], *teacher.noise_schedule.split(output, z, timestep))


@torch.no_grad()
def run_tail(
    teacher: Teacher,
    schedule: Schedule,
    reached: Trajectory,
    given: Condition,
    crf: LatentCRF | None = None,
    on_step: OnStep | None = None,
    generator: Generators | None = None,
) -> Tensor:
    """Run what follows the lead: the CRF or x0, the renoising and the tail.

    Args:
        teacher: The teacher.
        schedule: The schedule; its lead has been run.
        reached: The point at the lead's end.
        given: The condition of the B rows.
        crf: The CRF, if the schedule needs one.
        on_step: Called after each evaluation; returns the state to continue with.
        generator: Generator of the noise if ``renoise`` is "fresh". Default: PyTorch's global generator.

    Returns:
        The final latents, (B, C, H, W).

    Raises:
        ScheduleError: The schedule needs a CRF, and there is none.
    """
    teacher, given = prepare(teacher, schedule, given)
    path = find_tail_path(teacher.noise_schedule, schedule)
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


def run_schedules(
    teacher: Teacher, schedules: Iterable[Schedule], noise_BCHW: Tensor, given: Condition, crf: LatentCRF | None = None
) -> Iterator[Tensor]:
    """Run each schedule from the same noise (B, C, H, W) and yield its final latents.

    Equal leads run once. A lead's end is kept until its last schedule has run: a search has hundreds of leads.
    """
    schedules = list(schedules)
    waiting = Counter(schedule.first for schedule in schedules)
    leads: dict[Schedule, Trajectory] = {}
    for schedule in schedules:
        first = schedule.first
        reached = leads.pop(first) if first in leads else run_lead(teacher, schedule, noise_BCHW, given)
        waiting[first] -= 1
        if waiting[first]:
            leads[first] = reached
        yield run_tail(teacher, schedule, reached, given, crf)


def require_crf(schedule: Schedule, crf: LatentCRF | None) -> LatentCRF:
    """Return the CRF. Raises ScheduleError if there is none."""
    if crf is None:
        raise ScheduleError(f"a CRF for the schedule '{schedule}'", "none", "pass one, or use the schedule '50/50'")
    return crf


def renoise(
    teacher: Teacher,
    schedule: Schedule,
    reached: Trajectory,
    clean: Tensor,
    timestep: float,
    generator: Generators | None = None,
) -> Tensor:
    """Turn clean latents into the state for the evaluation at ``timestep``, as ``schedule.renoise`` says."""
    if schedule.renoise == "direct":
        return clean
    if schedule.renoise == "recomputed":
        noise = teacher.noise_schedule.noise(reached.state, clean, reached.timestep)
    elif schedule.renoise == "consistent":
        noise = reached.eps
    else:
        noise = randn_tensor(clean.shape, generator, clean.device, clean.dtype)
    return teacher.noise_schedule.add_noise(clean, noise, timestep)
