"""Follow a trajectory: evaluate the teacher, let the CRF correct the evaluation, take the solver's step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from crf.model.latent_crf import LatentCRF
from crf.model.observation import Observation
from crf.teacher.families import Condition
from crf.teacher.teacher import Teacher

Path = Sequence[tuple[float, float]]
OnStep = Callable[[float, Tensor], Tensor]  # (timestep of the evaluation, state after it) -> state to continue with
Advance = Callable[[Tensor, Tensor, float, float], Tensor]  # (output, state, timestep, timestep stepped to) -> state


@dataclass(frozen=True)
class Trajectory:
    """A point on a trajectory: the state at ``timestep``, and what the last evaluation gave; all (B, C, H, W).

    ``x0``, ``eps``: its estimates. ``previous``: x0 of the evaluation before it. ``guidance``: the difference that the
    caption made to x0 at the last guided evaluation.
    """

    state: Tensor
    timestep: float
    x0: Tensor
    eps: Tensor
    previous: Tensor
    guidance: Tensor

    def observe(self, to_timestep: float) -> Observation:
        """Return what a CRF may observe here, if the next evaluation is at ``to_timestep``."""
        timesteps_B2 = tell_timesteps(self.state, self.timestep, to_timestep)
        return Observation(self.state, self.x0, self.previous, self.guidance, timesteps_B2)


@dataclass(frozen=True)
class Corrections:
    """A CRF that corrects evaluations: those at ``places`` of a path, counted from 0."""

    crf: LatentCRF
    places: frozenset[int]


@dataclass
class Memory:
    """What the evaluations of a trajectory leave to later ones, all (B, C, H, W); it changes as they run.

    ``x0``: the last x0, as the CRF corrected it; None before the first evaluation. ``guidance``: the difference that
    the caption made to x0 at the last guided evaluation; None before it.
    """

    x0: Tensor | None = None
    guidance: Tensor | None = None


def follow(
    teacher: Teacher,
    state: Tensor,
    path: Path,
    given: Condition,
    on_step: OnStep | None = None,
    advance: Advance | None = None,
    corrections: Corrections | None = None,
    memory: Memory | None = None,
) -> Trajectory:
    """Take a solver's steps along a path.

    Args:
        teacher: The teacher.
        state: The state (B, C, H, W) at the first timestep of ``path``.
        path: The steps, as (timestep of the evaluation, timestep stepped to); at least one.
        given: The condition of the B rows.
        on_step: Called after each evaluation; returns the state to continue with.
        advance: The solver's step. Default: the teacher's own, DDIM or Euler.
        corrections: The CRF and the places where it corrects an evaluation before the solver's step. Default: none.
        memory: What evaluations before this path have left. Default: nothing.

    Returns:
        The point at the end of the path.
    """
    noise_schedule, memory = teacher.noise_schedule, memory or Memory()
    advance = advance or noise_schedule.advance
    for place, (timestep, to_timestep) in enumerate(path):
        z = state
        output, difference = teacher.evaluate(z, timestep, given)
        x0, eps = noise_schedule.split(output, z, timestep)
        previous = x0 if memory.x0 is None else memory.x0
        if difference is not None:
            memory.guidance = noise_schedule.split(difference, torch.zeros_like(z), timestep)[0]
        guidance = torch.zeros_like(z) if memory.guidance is None else memory.guidance
        if corrections and place in corrections.places:
            seen = Observation(z, x0, previous, guidance, tell_timesteps(z, timestep, to_timestep))
            # Added to the output, so a CRF that changes nothing leaves every bit as it is. What the solver remembers
            # of this evaluation is then the CRF's x0.
            output = noise_schedule.move_x0(output, infer(corrections.crf, seen, given) - x0, timestep)
            x0, eps = noise_schedule.split(output, z, timestep)
        memory.x0 = x0
        state = advance(output, z, timestep, to_timestep)
        if on_step:
            state = on_step(timestep, state)
    return Trajectory(state, to_timestep, x0, eps, previous, guidance)


def infer(crf: LatentCRF, seen: Observation, given: Condition, iterations: int | None = None) -> Tensor:
    """Infer clean latents (B, C, H, W) by a CRF, by its own number of iterations unless another is given."""
    clean_BCHW: Tensor = crf(
        seen.state_BCHW,
        given.pooled_BD.to(seen.state_BCHW.dtype),
        seen.x0_BCHW,
        iterations=iterations,
        previous_BCHW=seen.previous_BCHW,
        guidance_BCHW=seen.guidance_BCHW,
        timesteps_B2=seen.timesteps_B2,
    )
    return clean_BCHW


def tell_timesteps(state: Tensor, timestep: float, to_timestep: float) -> Tensor:
    """Return two timesteps for each row of a state, float32 (B, 2)."""
    return torch.tensor([[timestep, to_timestep]], device=state.device).float().expand(len(state), 2)
