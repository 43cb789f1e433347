"""Follow a trajectory: evaluate the teacher, let the CRF correct the evaluation, take the solver's step."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from crf.model.latent_crf import LatentCRF
from crf.model.observation import Observation, require
from crf.sampling.guidance import Guidance
from crf.teacher.families import Condition
from crf.teacher.noise_schedule import NoiseSchedule
from crf.teacher.teacher import Teacher

Path = Sequence[tuple[float, float]]
OnStep = Callable[[float, Tensor], Tensor]  # (timestep of the evaluation, state after it) -> state to continue with
# (what the CRF observes, timestep stepped to, clean latents -> the state stepped to)
Watch = Callable[[Observation, float, Callable[[Tensor], Tensor]], None]
Advance = Callable[[Tensor, Tensor, float, float], Tensor]  # (output, state, timestep, timestep stepped to) -> state


@dataclass(frozen=True)
class Trajectory:
    """A point on a trajectory: the state at ``timestep``, and what the last evaluation gave; all (B, C, H, W).

    ``x0``, ``eps``: its estimates. ``previous``: x0 of the evaluation before it. ``memory``: what later ones need.
    """

    state: Tensor
    timestep: float
    x0: Tensor
    eps: Tensor
    previous: Tensor
    memory: Memory

    def observe(self, to_timestep: float) -> Observation:
        """Return what a CRF may observe here, if the next evaluation is at ``to_timestep``."""
        timesteps_B2 = tell_timesteps(self.state, self.timestep, to_timestep)
        return Observation(self.state, self.x0, self.previous, self.memory.recall_guidance(self.state), timesteps_B2)


@dataclass(frozen=True)
class Corrections:
    """A CRF that corrects evaluations: those at ``places`` of a path, counted from 0.

    ``crf``: None for one that changes nothing. ``watch``: called at each place before the CRF, with what it observes,
    the timestep stepped to, and a function from clean latents in its place to the state that the solver steps to.
    """

    crf: LatentCRF | None
    places: frozenset[int]
    watch: Watch | None = None

    def correct(self, seen: Observation, given: Condition) -> Tensor:
        """Infer clean latents (B, C, H, W)."""
        if self.crf is None:
            return require(seen.x0_BCHW, "the teacher's x0 prediction", "x0_BCHW", "x0")
        return infer(self.crf, seen, given)


@dataclass
class Memory:
    """What the evaluations of a trajectory leave to later ones, all (B, C, H, W); it changes as they run.

    ``x0``: the last x0, as the CRF corrected it; None before the first evaluation. ``difference``: the difference that
    the caption made to the network's output at the last evaluation that computed it, and ``guidance`` that to x0; None
    before it.
    """

    x0: Tensor | None = None
    difference: Tensor | None = None
    guidance: Tensor | None = None

    def recall_guidance(self, like: Tensor) -> Tensor:
        """Return the difference that the caption made to x0, zeros before any."""
        return torch.zeros_like(like) if self.guidance is None else self.guidance


def follow(
    teacher: Teacher,
    state: Tensor,
    path: Path,
    given: Condition,
    on_step: OnStep | None = None,
    advance: Advance | None = None,
    corrections: Corrections | None = None,
    memory: Memory | None = None,
    guidance: Sequence[Guidance] | None = None,
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
        guidance: For each evaluation, whether guidance is computed, reused or left out. Default: computed.

    Returns:
        The point at the end of the path.
    """
    noise_schedule, memory = teacher.noise_schedule, memory or Memory()
    advance = advance or noise_schedule.advance
    for place, (timestep, to_timestep) in enumerate(path):
        z, plan = state, guidance[place] if guidance else "computed"
        reused = memory.difference if plan == "reused" else None
        output, difference = teacher.evaluate(z, timestep, given, plan != "none", reused)
        x0, eps = noise_schedule.split(output, z, timestep)
        previous = x0 if memory.x0 is None else memory.x0
        if difference is not None and reused is None:
            memory.difference = difference
            memory.guidance = noise_schedule.split(difference, torch.zeros_like(z), timestep)[0]
        if corrections and place in corrections.places:
            seen = Observation(z, x0, previous, memory.recall_guidance(z), tell_timesteps(z, timestep, to_timestep))
            if corrections.watch:
                corrections.watch(seen, to_timestep, look_ahead(noise_schedule, advance, output, z, x0, *path[place]))
            # Added to the output, so a CRF that changes nothing leaves every bit as it is. What the solver remembers
            # of this evaluation is then the CRF's x0.
            output = noise_schedule.move_x0(output, corrections.correct(seen, given) - x0, timestep)
            x0, eps = noise_schedule.split(output, z, timestep)
        memory.x0 = x0
        state = advance(output, z, timestep, to_timestep)
        if on_step:
            state = on_step(timestep, state)
    return Trajectory(state, to_timestep, x0, eps, previous, replace(memory))


def look_ahead(
    noise_schedule: NoiseSchedule,
    advance: Advance,
    output: Tensor,
    z: Tensor,
    x0: Tensor,
    timestep: float,
    to_timestep: float,
) -> Callable[[Tensor], Tensor]:
    """Return the function from clean latents in the place of x0 to the state that the solver would step to."""

    def step(clean: Tensor) -> Tensor:
        moved = noise_schedule.move_x0(output, clean - x0, timestep)
        return copy.deepcopy(advance)(moved, z, timestep, to_timestep)  # the solver itself must not count this step

    return step


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
