"""What both training stages learn from: noisy natural latents, then the teacher's late steps."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from itertools import count
from operator import itemgetter, methodcaller
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from crf.teacher.noise_schedule import NoiseSchedule

Stored = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Pairs:
    """A batch of what the CRF observes and what it should infer, float32 except for the rows.

    ``z_BCHW``: the noisy state; ``target_BCHW``: the clean latents; ``text_BD``: the pooled text;
    ``x0_BCHW``: the x0 prediction at z, for a CRF that sees it; ``rows_B``: int64, rows in the store.
    """

    z_BCHW: Tensor
    target_BCHW: Tensor
    text_BD: Tensor
    x0_BCHW: Tensor | None
    rows_B: Tensor

    def to(self, device: torch.device) -> Self:
        """Move all tensors to ``device``."""
        return self._each(methodcaller("to", device))

    def split(self, count: int) -> list[Self]:
        """Split the batch into ``count`` equal parts."""
        size = len(self.rows_B) // count
        return [self._each(itemgetter(slice(start, start + size))) for start in range(0, size * count, size)]

    def _each(self, change: Callable[[Tensor], Tensor]) -> Self:
        parts = {field.name: getattr(self, field.name) for field in fields(self)}
        changed: dict[str, Any] = {name: part if part is None else change(part) for name, part in parts.items()}
        return type(self)(**changed)


def make_noisy_pairs(
    stored: Iterable[Stored],
    noise_schedule: NoiseSchedule,
    between: tuple[int, int],
    seed: int,
    *,
    first_step: int = 0,
    rank: int = 0,
    with_x0: bool = False,
) -> Iterator[Pairs]:
    """Pair natural latents with noisy versions of them, for stage 1 (section 3.4.1).

    Timesteps are drawn ``between`` two, both included; timesteps and noise follow from (seed, step, rank). No
    teacher runs here: with ``with_x0`` the estimate of the clean latents is z divided by the signal's share,
    as if there were no noise.
    """
    for step, batch in zip(count(first_step), stored, strict=False):
        generator = make_generator(seed, step, rank)
        x_BCHW = make_channels_first(batch["latents"])
        timesteps = torch.randint(between[0], between[1] + 1, (len(x_BCHW),), generator=generator).tolist()
        eps_BCHW = torch.randn(x_BCHW.shape, generator=generator)
        z_BCHW = torch.stack(
            [noise_schedule.add_noise(x, eps, t) for x, eps, t in zip(x_BCHW, eps_BCHW, timesteps, strict=True)]
        )
        x0_BCHW = None
        if with_x0:
            x0_BCHW = torch.stack([z / noise_schedule.signal(t) for z, t in zip(z_BCHW, timesteps, strict=True)])
        yield Pairs(z_BCHW, x_BCHW, read_text(batch), x0_BCHW, torch.from_numpy(batch["row"]))


def make_teacher_pairs(
    stored: Iterable[Stored],
    *,
    state: str = "step_40",
    x0: str | None = None,
    target: str = "step_50",
    find_target: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> Iterator[Pairs]:
    """Pair the teacher's ``state`` with what it made of it, for stage 2 (section 3.5).

    Args:
        stored: Batches of arrays, as the reader yields them.
        state: Name of the array that the CRF observes; "step_40" by default.
        x0: Name of the array with the x0 prediction there, for a CRF that sees it; None by default.
        target: Name of the array that the target follows from; "step_50" by default.
        find_target: Maps (state, ``target``), both (B, C, H, W), to the clean latents to infer; by default
            the array itself is the target.
    """
    for batch in stored:
        z_BCHW, target_BCHW = make_channels_first(batch[state]), make_channels_first(batch[target])
        if find_target:
            target_BCHW = find_target(z_BCHW, target_BCHW)
        x0_BCHW = make_channels_first(batch[x0]) if x0 else None
        yield Pairs(z_BCHW, target_BCHW, read_text(batch), x0_BCHW, torch.from_numpy(batch["row"]))


def aim_at_tail(
    noise_schedule: NoiseSchedule, state_BCHW: Tensor, timestep: float, tail_BCHW: Tensor, tail: float
) -> Tensor:
    """Find the clean latents that "recomputed" renoising takes to just ``tail_BCHW``, the state at timestep ``tail``.

    This is the target of a CRF that stands at ``timestep``, with ``state_BCHW``, and is followed by evaluations
    from ``tail`` on: not where the trajectory ends, but what leads back to it.
    """

    def renoise(clean_BCHW: Tensor) -> Tensor:  # affine in the clean latents
        noise_BCHW = noise_schedule.noise(state_BCHW, clean_BCHW, timestep)
        return noise_schedule.step(clean_BCHW, noise_BCHW, tail)

    at_zero = renoise(torch.zeros_like(state_BCHW))
    return (tail_BCHW - at_zero) / (renoise(torch.ones_like(state_BCHW)) - at_zero)


def make_channels_first(latents_BHWC: npt.NDArray[Any]) -> Tensor:
    """Turn stored float16 latents (B, H, W, C) into float32 (B, C, H, W)."""
    return torch.from_numpy(latents_BHWC).permute(0, 3, 1, 2).float()


def read_text(batch: Stored) -> Tensor:
    """Turn stored float16 text embeddings into float32 (B, D)."""
    return torch.from_numpy(batch["text"]).float()


def make_generator(seed: int, step: int, rank: int) -> torch.Generator:
    """A generator for one step of one worker, so that a restart draws the same numbers."""
    [mixed] = np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(mixed >> np.uint64(1)))
