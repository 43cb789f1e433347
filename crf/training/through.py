"""Train a CRF inside a schedule on where the schedule ends, with gradients through the teacher's evaluations."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor

from crf.errors import ScheduleError
from crf.noise import sample_noise
from crf.sampling.paths import check_rollout
from crf.sampling.sampler import follow_lead
from crf.schedule import Schedule
from crf.stages.arrays import STEP_50
from crf.teacher.teacher import Teacher
from crf.training.pairs import Pairs, Stored, make_channels_first, read_text

SMALLEST = 1e-4  # of a mean squared error: the root's slope has no end at zero


def check_through(text: str) -> Schedule:
    """Parse a schedule to train through: one of a roll-out, without DeepCache. Raises ScheduleError for another."""
    schedule = check_rollout(text)
    if schedule.deepcache > 1:  # what it keeps of an evaluation is gone when that is computed again
        raise ScheduleError("a schedule without DeepCache to train through", repr(text), "leave out 'deepcache'")
    return schedule


class Through:
    """A schedule with a CRF inside, and the teacher whose evaluations it takes.

    Args:
        teacher: The teacher. Its network's weights no longer require gradients afterwards.
        schedule: A schedule that ``check_through`` accepts.
        guidance_scale: Scale of classifier-free guidance.
    """

    def __init__(self, teacher: Teacher, schedule: Schedule, guidance_scale: float) -> None:
        self.teacher = copy.copy(teacher)
        self.teacher.family.network.requires_grad_(False)
        self.teacher.differentiable = True
        self.schedule, self.guidance_scale = schedule, guidance_scale

    def run(self, network: Any, noise_BCHW: Tensor, captions: tuple[str, ...]) -> Tensor:
        """Run the schedule with a CRF, or a network with its arguments, and return the latents at its end.

        Gradients flow to the network through all evaluations.
        """
        given = self.teacher.condition(list(captions), self.guidance_scale)
        return follow_lead(self.teacher, self.schedule, noise_BCHW, given, crf=network).state


@dataclass(frozen=True, kw_only=True)
class Ends(Pairs):
    """A training batch of whole schedules: ``z_BCHW`` is noise, ``target_BCHW`` the teacher's final latents.

    Args:
        captions: The B captions.
        through: The schedule.
    """

    captions: tuple[str, ...]
    through: Through

    def infer(self, network: Any) -> Tensor:
        """Run the schedule with the network; return its final latents (B, C, H, W)."""
        return self.through.run(network, self.z_BCHW, self.captions)

    def compute_loss(self, inferred_BCHW: Tensor) -> Tensor:
        """Compute the mean over samples of the root-mean-square error: a few captions would rule its square."""
        squared_B = (inferred_BCHW.float() - self.target_BCHW).square().flatten(1).mean(1)
        return (squared_B + SMALLEST).sqrt().mean()

    def to(self, device: torch.device) -> Self:
        tensors = {name: getattr(self, name).to(device) for name in ("z_BCHW", "target_BCHW", "text_BD", "rows_B")}
        return replace(self, **tensors)

    def split(self, count: int) -> list[Self]:
        size = len(self.rows_B) // count
        slices = [slice(start, start + size) for start in range(0, size * count, size)]
        names = ("z_BCHW", "target_BCHW", "text_BD", "rows_B", "captions")
        return [replace(self, **{name: getattr(self, name)[part] for name in names}) for part in slices]


def make_ends(stored: Iterable[Stored], captions: list[str], seeds: list[int], through: Through) -> Iterator[Ends]:
    """Pair the noise of a teacher store's rows with their final latents.

    Args:
        stored: Batches of stored arrays: ``step_50``, ``text`` (B, D) and ``row`` (B,).
        captions: The caption of each row of the store.
        seeds: The seed of each row's noise.
        through: The schedule.

    Yields:
        One batch per stored batch.
    """
    for batch in stored:
        target_BCHW = make_channels_first(batch[STEP_50])
        _, channels, height, width = target_BCHW.shape
        yield Ends(
            z_BCHW=sample_noise([seeds[row] for row in batch["row"]], (channels, height, width)),
            target_BCHW=target_BCHW,
            text_BD=read_text(batch),
            x0_BCHW=None,
            rows_B=torch.from_numpy(batch["row"]),
            captions=tuple(captions[row] for row in batch["row"]),
            through=through,
        )
