"""Roll-outs: what a CRF meets at its places in a schedule, as it is now, and what it should have inferred there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from crf.model.latent_crf import LatentCRF
from crf.model.observation import Observation
from crf.sampling.sampler import run_lead
from crf.schedule import Schedule
from crf.teacher.families import Condition
from crf.teacher.teacher import Teacher


@dataclass(frozen=True)
class Meeting:
    """What a CRF met at one of its places.

    ``target``: the clean latents (B, C, H, W) from which the solver steps to the teacher's own next state. ``gain``:
    how much that state changes with them.
    """

    seen: Observation
    target: Tensor
    gain: float


@torch.no_grad()
def roll_out(
    teacher: Teacher,
    schedule: Schedule,
    noise_BCHW: Tensor,
    given: Condition,
    own_states: dict[float, Tensor],
    crf: LatentCRF | None = None,
) -> list[Meeting]:
    """Run a schedule with the CRF as it is, and record what it meets at each of its places.

    Args:
        teacher: The teacher.
        schedule: A schedule that ``check_rollout`` accepts.
        noise_BCHW: Initial noise, (B, C, H, W).
        given: The condition of the B rows.
        own_states: The teacher's own states from the same noise, by the timestep that a corrected evaluation steps to.
        crf: The CRF. None (default) for one that changes nothing.

    Returns:
        One meeting per place, in order.
    """
    met = []

    def watch(seen: Observation, to_timestep: float, step: Callable[[Tensor], Tensor]) -> None:
        at_zero, at_one = step(torch.zeros_like(seen.state_BCHW)), step(torch.ones_like(seen.state_BCHW))
        gain = float((at_one - at_zero).double().mean())  # every solver's step is affine in the clean latents
        met.append(Meeting(seen, (own_states[to_timestep] - at_zero) / gain, gain))

    run_lead(teacher, schedule, noise_BCHW, given, crf=crf, watch=watch)
    return met
