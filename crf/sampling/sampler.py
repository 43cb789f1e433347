"""Run a schedule: the lead, the CRF, the renoising, the tail, and corrections by the CRF on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

import torch
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from crf.errors import ScheduleError
from crf.model.latent_crf import LatentCRF
from crf.sampling.deepcache import cache_features
from crf.sampling.guidance import plan_guidance
from crf.sampling.paths import find_lead_path, find_next_timestep, find_tail_path, list_timesteps, make_multistep
from crf.sampling.trajectory import Corrections, OnStep, Trajectory, Watch, follow, infer
from crf.schedule import Schedule
from crf.teacher.families import Condition
from crf.teacher.teacher import Teacher

Generators = torch.Generator | list[torch.Generator]


def find_corrections(
    schedule: Schedule, crf: LatentCRF | None, first: int, count: int, watch: Watch | None = None
) -> Corrections | None:
    """Find the corrections among ``count`` evaluations after the first ``first`` ones; None if there are none.

    Raises ScheduleError if there are some, neither a CRF nor anyone who watches.
    """
    places = frozenset(number - 1 - first for number in schedule.corrections if first < number <= first + count)
    if not places:
        return None
    return Corrections(crf if watch else require_crf(schedule, crf), places, watch)


@torch.no_grad()
def run_lead(
    teacher: Teacher,
    schedule: Schedule,
    noise_BCHW: Tensor,
    given: Condition,
    on_step: OnStep | None = None,
    crf: LatentCRF | None = None,
    watch: Watch | None = None,
) -> Trajectory:
    """Run the schedule's lead from noise (B, C, H, W), in its dtype, and return the point at its end.

    Raises ScheduleError if the lead has corrections and there is no CRF, unless ``watch`` watches what it would meet.
    """
    return follow_lead(teacher, schedule, noise_BCHW, given, on_step, crf, watch)


def follow_lead(
    teacher: Teacher,
    schedule: Schedule,
    noise_BCHW: Tensor,
    given: Condition,
    on_step: OnStep | None = None,
    crf: LatentCRF | None = None,
    watch: Watch | None = None,
) -> Trajectory:
    """Do what ``run_lead`` does; gradients flow to the CRF and, through a differentiable teacher, to all before it."""
    teacher = prepare(teacher, schedule)
    path = find_lead_path(teacher.noise_schedule, schedule)
    advance = None if schedule.solver == "ddim" else MultistepAdvance(teacher, schedule)
    corrections = find_corrections(schedule, crf, 0, schedule.lead, watch)
    guidance = plan_guidance(schedule, [timestep for timestep, _ in path])
    state = noise_BCHW.to(teacher.device)
    return follow(teacher, state, path, given, on_step, advance, corrections, guidance=guidance)


def prepare(teacher: Teacher, schedule: Schedule) -> Teacher:
    """Return the teacher with the schedule's DeepCache."""
    return cache_features(teacher, schedule.deepcache, schedule.extrapolated) if schedule.deepcache > 1 else teacher


class MultistepAdvance:
    """The step of a lead's solver, one of diffusers' own. It remembers earlier steps: make one for each lead."""

    def __init__(self, teacher: Teacher, schedule: Schedule) -> None:
        self.scheduler = make_multistep(teacher.noise_schedule, schedule)
        self.steps = 0

    def __call__(self, output: Tensor, z: Tensor, timestep: float, to_timestep: float) -> Tensor:
        """Take the next step from the output at z."""
        state: Tensor = self.scheduler.step(output, self.scheduler.timesteps[self.steps], z, return_dict=False)[0]
        self.steps += 1
        return state


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
    teacher = prepare(teacher, schedule)
    path = find_tail_path(teacher.noise_schedule, schedule)
    clean = None
    if schedule.middle == "crf":
        seen = reached.observe(find_next_timestep(teacher.noise_schedule, schedule))
        clean = infer(require_crf(schedule, crf), seen, given)
    elif schedule.middle == "x0":
        clean = reached.x0
    if not path:
        return reached.state if clean is None else clean
    state = reached.state
    if clean is not None:
        state = renoise(teacher, schedule, reached, clean, path[0][0], generator)
    corrections = find_corrections(schedule, crf, schedule.lead, schedule.tail)
    memory = replace(reached.memory, x0=reached.x0 if clean is None else clean)
    guidance = plan_guidance(schedule, list_timesteps(teacher.noise_schedule, schedule))[schedule.lead :]
    return follow(teacher, state, path, given, on_step, corrections=corrections, memory=memory, guidance=guidance).state


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
        reached = leads.pop(first) if first in leads else run_lead(teacher, schedule, noise_BCHW, given, crf=crf)
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
