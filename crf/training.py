"""Both training stages: denoise natural latents, then distil the teacher's late steps.

A batch is (z, target, text): what the CRF observes, what it should infer (both BCHW, float32),
and the pooled text (B, D).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from crf.adversary import Discriminator, discriminator_loss, generator_loss
from crf.ddim import NoiseLevels
from crf.model import LatentCRF

Batch = tuple[Tensor, Tensor, Tensor]
Latents = dict[str, npt.NDArray[np.float16]]


class DivergedError(RuntimeError):
    """The loss is no longer a number."""


@dataclass(frozen=True)
class Optimization:
    """AdamW with linear warm-up and cosine decay (section 4); the adversarial weight is lambda of eq. 13."""

    steps: int
    learning_rate: float
    warm_up_steps: int
    adversarial_weight: float = 0.0

    def learning_rate_at(self, step: int) -> float:
        if step < self.warm_up_steps:
            return self.learning_rate * (step + 1) / self.warm_up_steps
        done = (step - self.warm_up_steps) / max(1, self.steps - self.warm_up_steps)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


def channels_first(latents_BHWC: npt.NDArray[np.float16]) -> Tensor:
    """Stored float16 latents -> float32 (B, C, H, W)."""
    return torch.from_numpy(latents_BHWC).permute(0, 3, 1, 2).float()


def noisy_pairs(stored: Iterator[Latents], levels: NoiseLevels, between: tuple[int, int], seed: int) -> Iterator[Batch]:
    """Stage 1 (section 3.4.1): natural latents, and a noisy version at timesteps drawn ``between`` two."""
    generator = torch.Generator().manual_seed(seed)
    for batch in stored:
        x_BCHW = channels_first(batch["latents"])
        timesteps_B = torch.randint(between[0], between[1] + 1, (len(x_BCHW),), generator=generator)
        alpha_B111 = levels.alphas[timesteps_B][:, None, None, None]
        eps_BCHW = torch.randn(x_BCHW.shape, generator=generator)
        z_BCHW = alpha_B111**0.5 * x_BCHW + (1 - alpha_B111) ** 0.5 * eps_BCHW
        yield z_BCHW, x_BCHW, torch.from_numpy(batch["text"]).float()


def teacher_pairs(stored: Iterator[Latents]) -> Iterator[Batch]:
    """Stage 2 (section 3.5): the teacher's state at step 40, and what it made of it by step 50."""
    for batch in stored:
        text_BD = torch.from_numpy(batch["text"]).float()
        yield channels_first(batch["step_40"]), channels_first(batch["step_50"]), text_BD


def fit(crf: LatentCRF, batches: Iterator[Batch], optimization: Optimization) -> Iterator[dict[str, float]]:
    """Train in place; yields the step's losses after each step (eqs. 13, 14)."""
    adversarial = optimization.adversarial_weight > 0
    discriminator = Discriminator(crf.settings.channels).to(crf.device) if adversarial else None
    optimizer = torch.optim.AdamW(crf.parameters(), lr=0.0)
    opponent = torch.optim.AdamW(discriminator.parameters(), lr=0.0) if discriminator else None
    crf.train()
    for step, batch in zip(range(optimization.steps), batches, strict=False):
        z_BCHW, target_BCHW, text_BD = (part.to(crf.device) for part in batch)
        rate = optimization.learning_rate_at(step)
        output_BCHW = crf(z_BCHW, text_BD)
        mse = F.mse_loss(output_BCHW, target_BCHW)
        losses = {"mse": mse.item()}
        total = mse
        if discriminator and opponent:
            against = generator_loss(discriminator(output_BCHW))
            total = mse + optimization.adversarial_weight * against
            losses["adversarial"] = against.item()
        if not torch.isfinite(total):
            raise DivergedError(f"step {step}: the loss is {total.item()}; lower the learning rate, {rate:.2g} now")
        _descend(optimizer, total, rate)
        if discriminator and opponent:
            against = discriminator_loss(discriminator(target_BCHW), discriminator(output_BCHW.detach()))
            _descend(opponent, against, rate)
            losses["discriminator"] = against.item()
        yield losses
    crf.eval()


def _descend(optimizer: torch.optim.Optimizer, loss: Tensor, learning_rate: float) -> None:
    optimizer.param_groups[0]["lr"] = learning_rate
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
