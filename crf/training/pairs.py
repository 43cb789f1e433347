"""What both training stages learn from: denoise natural latents, then distil the teacher's late steps."""

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
    """A batch: what the CRF observes and what it should infer, float32 unless told otherwise.

    ``z_BCHW``: the noisy state; ``target_BCHW``: the clean latents; ``text_BD``: the pooled text;
    ``x0_BCHW``: the x0 prediction at z, for a CRF that sees it; ``rows_B``: int64, rows in the store.
    """

    z_BCHW: Tensor
    target_BCHW: Tensor
    text_BD: Tensor
    x0_BCHW: Tensor | None
    rows_B: Tensor

    def to(self, device: torch.device) -> Self:
        return self._each(methodcaller("to", device))

    def split(self, count: int) -> list[Self]:
        """``count`` equal parts."""
        size = len(self.rows_B) // count
        return [self._each(itemgetter(slice(start, start + size))) for start in range(0, size * count, size)]

    def _each(self, change: Callable[[Tensor], Tensor]) -> Self:
        parts = {field.name: getattr(self, field.name) for field in fields(self)}
        changed: dict[str, Any] = {name: part if part is None else change(part) for name, part in parts.items()}
        return type(self)(**changed)


def noisy_pairs(
    stored: Iterable[Stored],
    noise_schedule: NoiseSchedule,
    between: tuple[int, int],
    seed: int,
    *,
    first_step: int = 0,
    rank: int = 0,
    with_x0: bool = False,
) -> Iterator[Pairs]:
    """Stage 1 (section 3.4.1): natural latents, and a noisy version at timesteps drawn ``between`` two.

    Timesteps and noise follow from (seed, step, rank). No teacher is asked here: with ``with_x0``
    the estimate of the clean latents is z over the signal's share, what is left when the noise is
    put at zero.
    """
    for step, batch in zip(count(first_step), stored, strict=False):
        generator = step_generator(seed, step, rank)
        x_BCHW = channels_first(batch["latents"])
        timesteps = torch.randint(between[0], between[1] + 1, (len(x_BCHW),), generator=generator).tolist()
        eps_BCHW = torch.randn(x_BCHW.shape, generator=generator)
        z_BCHW = torch.stack(
            [noise_schedule.add_noise(x, eps, t) for x, eps, t in zip(x_BCHW, eps_BCHW, timesteps, strict=True)]
        )
        x0_BCHW = None
        if with_x0:
            x0_BCHW = torch.stack([z / noise_schedule.signal(t) for z, t in zip(z_BCHW, timesteps, strict=True)])
        yield Pairs(z_BCHW, x_BCHW, text_of(batch), x0_BCHW, torch.from_numpy(batch["row"]))


def teacher_pairs(stored: Iterable[Stored], *, state: str = "step_40", x0: str | None = None) -> Iterator[Pairs]:
    """Stage 2 (section 3.5): the teacher's ``state``, and what it made of it by step 50.

    ``x0``: name of the stored array with the teacher's x0 prediction there.
    """
    for batch in stored:
        x0_BCHW = channels_first(batch[x0]) if x0 else None
        rows_B = torch.from_numpy(batch["row"])
        yield Pairs(channels_first(batch[state]), channels_first(batch["step_50"]), text_of(batch), x0_BCHW, rows_B)


def channels_first(latents_BHWC: npt.NDArray[Any]) -> Tensor:
    """Stored float16 latents -> float32 (B, C, H, W)."""
    return torch.from_numpy(latents_BHWC).permute(0, 3, 1, 2).float()


def text_of(batch: Stored) -> Tensor:
    """Stored float16 text embeddings -> float32 (B, D)."""
    return torch.from_numpy(batch["text"]).float()


def step_generator(seed: int, step: int, rank: int) -> torch.Generator:
    """The random numbers of one step of one worker: a restart in the middle draws the same."""
    [mixed] = np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(mixed >> np.uint64(1)))
