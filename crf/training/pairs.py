"""The training pairs of both stages: noisy natural latents for stage 1, the teacher's late steps for stage 2."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import count
from operator import itemgetter, methodcaller
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from crf.stages.arrays import LATENTS, ROLLOUT_GAIN, ROLLOUT_LATENTS, STEP_40, STEP_50, TEXT
from crf.teacher.noise_schedule import NoiseSchedule

Stored = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Pairs:
    """A training batch: the CRF's inputs and the latents that it should infer.

    Args:
        z_BCHW: Noisy states, float32 (B, C, H, W).
        target_BCHW: Clean latents to infer, float32 (B, C, H, W).
        text_BD: Pooled text, float32 (B, D).
        x0_BCHW: The teacher's x0 predictions at ``z_BCHW``, float32 (B, C, H, W); None if ``crf_input`` is "state".
        rows_B: Row numbers in the store, int64 (B,); error messages name them.
        previous_BCHW: The x0 predictions before, float32 (B, C, H, W); None (default) if they are not known.
        guidance_BCHW: The guidance differences, float32 (B, C, H, W); None (default) if they are not known.
        timesteps_B2: The timesteps that the CRF stands between, float32 (B, 2); None (default) if they are not known.
        weight_B: Weights of the squared errors, float32 (B,); None (default) for ones.
    """

    z_BCHW: Tensor
    target_BCHW: Tensor
    text_BD: Tensor
    x0_BCHW: Tensor | None
    rows_B: Tensor
    previous_BCHW: Tensor | None = None
    guidance_BCHW: Tensor | None = None
    timesteps_B2: Tensor | None = None
    weight_B: Tensor | None = None

    def infer(self, network: Any) -> Tensor:
        """Infer the latents (B, C, H, W) by a CRF, or by a network with its arguments."""
        known = {name: getattr(self, name) for name in ("previous_BCHW", "guidance_BCHW", "timesteps_B2")}
        given = {name: value for name, value in known.items() if value is not None}
        inferred_BCHW: Tensor = network(self.z_BCHW, self.text_BD, self.x0_BCHW, **given)
        return inferred_BCHW

    def compute_loss(self, inferred_BCHW: Tensor) -> Tensor:
        """Compute the mean squared error, weighted."""
        squared_BCHW = (inferred_BCHW.float() - self.target_BCHW).square()
        if self.weight_B is not None:
            squared_BCHW = squared_BCHW * self.weight_B[:, None, None, None]
        return squared_BCHW.mean()

    def to(self, device: torch.device) -> Self:
        """Move all tensors to ``device``."""
        return self._each(methodcaller("to", device))

    def split(self, count: int) -> list[Self]:
        """Split the batch into ``count`` equal parts; drops the remainder if ``count`` does not divide it."""
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
    """Pair natural latents with noisy versions of themselves, for stage 1 (section 3.4.1).

    Timesteps and noise depend only on (``seed``, step, ``rank``), so a resumed training draws the same ones.

    Args:
        stored: Batches of stored arrays: ``latents`` (B, H, W, C), ``text`` (B, D) and ``row`` (B,).
        noise_schedule: The teacher's noise schedule.
        between: Lowest and highest timestep to draw, both inclusive.
        seed: Seed of the training.
        first_step: Number of the first batch; above 0 in a resumed training. Default 0.
        rank: Number of this worker. Default 0.
        with_x0: Also estimate x0 as z divided by its signal factor, since no teacher runs here, and with it what else a
            CRF may observe: no earlier x0, no guidance, and the end as the next timestep. Default False.

    Yields:
        One batch of pairs per stored batch.
    """
    for step, batch in zip(count(first_step), stored, strict=False):
        generator = make_generator(seed, step, rank)
        x_BCHW = make_channels_first(batch[LATENTS])
        timesteps = torch.randint(between[0], between[1] + 1, (len(x_BCHW),), generator=generator).tolist()
        eps_BCHW = torch.randn(x_BCHW.shape, generator=generator)
        z_BCHW = torch.stack(
            [noise_schedule.add_noise(x, eps, t) for x, eps, t in zip(x_BCHW, eps_BCHW, timesteps, strict=True)]
        )
        known = (z_BCHW, x_BCHW, read_text(batch))
        rows_B = torch.from_numpy(batch["row"])
        if not with_x0:
            yield Pairs(*known, None, rows_B)
            continue
        x0_BCHW = torch.stack([z / noise_schedule.signal(t) for z, t in zip(z_BCHW, timesteps, strict=True)])
        timesteps_B2 = torch.tensor([[timestep, noise_schedule.final] for timestep in timesteps])
        yield Pairs(*known, x0_BCHW, rows_B, x0_BCHW, torch.zeros_like(x0_BCHW), timesteps_B2)


def make_teacher_pairs(
    stored: Iterable[Stored],
    *,
    state: str = STEP_40,
    x0: str | None = None,
    target: str = STEP_50,
    find_target: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> Iterator[Pairs]:
    """Pair an intermediate state of the teacher with its final latents, for stage 2 (section 3.5).

    Args:
        stored: Batches of stored arrays: ``state``, ``target`` and ``x0``, ``text`` (B, D) and ``row`` (B,).
        state: Name of the array of noisy states. Default "step_40".
        x0: Name of the array of x0 predictions at ``state``; None (default) if the CRF does not observe x0.
        target: Name of the array that the target is computed from. Default "step_50".
        find_target: Maps the arrays ``state`` and ``target``, both (B, C, H, W), to the latents to infer; None
            (default) to use ``target`` unchanged.

    Yields:
        One batch of pairs per stored batch.
    """
    for batch in stored:
        z_BCHW, target_BCHW = make_channels_first(batch[state]), make_channels_first(batch[target])
        if find_target:
            target_BCHW = find_target(z_BCHW, target_BCHW)
        x0_BCHW = make_channels_first(batch[x0]) if x0 else None
        yield Pairs(z_BCHW, target_BCHW, read_text(batch), x0_BCHW, torch.from_numpy(batch["row"]))


def make_rollout_pairs(
    stored: Iterable[Stored],
    timesteps: Sequence[tuple[float, float]],
    seed: int,
    *,
    aims_at_next: bool,
    first_step: int = 0,
    rank: int = 0,
) -> Iterator[Pairs]:
    """Pair what a CRF met in a roll-out with what it should have inferred, at one place of each row.

    The places depend only on (``seed``, step, ``rank``), so a resumed training draws the same ones.

    Args:
        stored: Batches of stored arrays: those of the roll-out (B, K, ...), ``step_50``, ``text`` and ``row``.
        timesteps: The K pairs of timesteps that the CRF stands between.
        seed: Seed of the training.
        aims_at_next: Whether the targets lead to the teacher's own next state, with the error of that state as loss.
            Otherwise they are its final latents.
        first_step: Number of the first batch; above 0 in a resumed training. Default 0.
        rank: Number of this worker. Default 0.

    Yields:
        One batch of pairs per stored batch.
    """
    told_K2 = torch.tensor(timesteps, dtype=torch.float32)
    for step, batch in zip(count(first_step), stored, strict=False):
        rows = np.arange(len(batch["row"]))
        places_B = torch.randint(len(told_K2), (len(rows),), generator=make_generator(seed, step, rank))
        state, x0, previous, guidance, following = (
            make_channels_first(batch[name][rows, places_B.numpy()]) for name in ROLLOUT_LATENTS
        )
        gain_B = torch.from_numpy(batch[ROLLOUT_GAIN][rows, places_B.numpy()])
        target_BCHW = following if aims_at_next else make_channels_first(batch[STEP_50])
        weight_B = gain_B.square() if aims_at_next else None
        rows_B = torch.from_numpy(batch["row"])
        more = (previous, guidance, told_K2[places_B], weight_B)
        yield Pairs(state, target_BCHW, read_text(batch), x0, rows_B, *more)


def aim_at_tail(
    noise_schedule: NoiseSchedule, state_BCHW: Tensor, timestep: float, tail_BCHW: Tensor, tail: float
) -> Tensor:
    """Compute the clean latents that "recomputed" renoising maps to the teacher's state at timestep ``tail``.

    They are the target for a CRF that is followed by evaluations from ``tail`` on: renoising its output then gives
    a state on the teacher's own trajectory.

    Args:
        noise_schedule: The teacher's noise schedule.
        state_BCHW: The state that the CRF observes, (B, C, H, W).
        timestep: Timestep of that state.
        tail_BCHW: The teacher's state at ``tail``, (B, C, H, W).
        tail: Timestep of the first evaluation after the CRF.

    Returns:
        The target, (B, C, H, W).
    """

    def renoise(clean_BCHW: Tensor) -> Tensor:  # affine in the clean latents
        noise_BCHW = noise_schedule.noise(state_BCHW, clean_BCHW, timestep)
        return noise_schedule.add_noise(clean_BCHW, noise_BCHW, tail)

    at_zero = renoise(torch.zeros_like(state_BCHW))
    return (tail_BCHW - at_zero) / (renoise(torch.ones_like(state_BCHW)) - at_zero)


def make_channels_first(latents_BHWC: npt.NDArray[Any]) -> Tensor:
    """Convert stored float16 latents (B, H, W, C) to a float32 tensor (B, C, H, W)."""
    return torch.from_numpy(latents_BHWC).permute(0, 3, 1, 2).float()


def read_text(batch: Stored) -> Tensor:
    """Convert a batch's stored float16 text embeddings to a float32 tensor (B, D)."""
    return torch.from_numpy(batch[TEXT]).float()


def make_generator(seed: int, step: int, rank: int) -> torch.Generator:
    """Make the generator for one step of one worker, so that a restart draws the same numbers."""
    [mixed] = np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(mixed >> np.uint64(1)))
