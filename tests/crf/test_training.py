from itertools import islice, repeat

import numpy as np
import pytest
import torch

from crf.adversary import Discriminator, discriminator_loss, generator_loss
from crf.config import LatentCRFConfig
from crf.ddim import NoiseLevels
from crf.model import LatentCRF
from crf.training import DivergedError, Optimization, channels_first, fit, noisy_pairs, teacher_pairs

SMALL = LatentCRFConfig(height=4, width=4, channels=2, text_width=3, heads=2, hidden=16, filters=16)
LEVELS = NoiseLevels({"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"})


def stored(count: int = 8) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    names = ("latents", "step_40", "step_50")
    latents = {name: random.standard_normal((count, 4, 4, 2)).astype(np.float16) for name in names}
    return {**latents, "text": random.standard_normal((count, 3)).astype(np.float16)}


def test_stored_latents_become_channels_first_without_a_copy_of_the_order() -> None:
    batch = stored()["latents"]
    assert channels_first(batch).shape == (8, 2, 4, 4)
    assert channels_first(batch)[3, 1, 2, 0] == float(batch[3, 2, 0, 1])


def test_noisy_pairs_have_the_noise_of_their_timesteps() -> None:
    big = {**stored(), "latents": np.zeros((512, 4, 4, 2), np.float16), "text": np.zeros((512, 3), np.float16)}
    z, target, _ = next(noisy_pairs(iter([big]), LEVELS, (201, 201), seed=0))
    assert (target == 0).all()
    assert float(z.std()) == pytest.approx(float((1 - LEVELS.alpha(201)) ** 0.5), rel=0.02)


def test_noisy_pairs_repeat_with_the_seed() -> None:
    first, again = (next(noisy_pairs(iter([stored()]), LEVELS, (1, 250), seed=3))[0] for _ in range(2))
    assert torch.equal(first, again)


@pytest.mark.parametrize("adversarial_weight", [0.0, 0.05])
def test_training_lowers_the_loss(adversarial_weight: float) -> None:
    torch.manual_seed(0)
    batches = teacher_pairs(repeat(stored()))
    optimization = Optimization(60, 1e-2, 5, adversarial_weight)
    losses = list(fit(LatentCRF(SMALL), batches, optimization))
    assert len(losses) == 60
    assert losses[-1]["mse"] < 0.5 * losses[0]["mse"]
    assert ("discriminator" in losses[0]) == (adversarial_weight > 0)


def test_a_loss_that_is_not_a_number_names_the_step() -> None:
    bad = stored()
    bad["step_50"] = bad["step_50"] * np.nan
    with pytest.raises(DivergedError, match="step 0"):
        list(fit(LatentCRF(SMALL), teacher_pairs(iter([bad])), Optimization(1, 1e-3, 0)))


def test_the_learning_rate_warms_up_and_decays() -> None:
    optimization = Optimization(100, 1.0, 10)
    rates = [optimization.learning_rate_at(step) for step in range(100)]
    assert rates[:2] == [0.1, 0.2]
    assert max(rates) == rates[9] == 1.0
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 1e-3


def test_the_discriminator_has_the_papers_layers() -> None:
    widths = [m.out_channels for m in Discriminator(8) if isinstance(m, torch.nn.Conv2d)]
    assert widths == [64, 64, 128, 1]
    assert Discriminator(8)(torch.randn(2, 8, 6, 5)).shape == (2, 1, 6, 5)


def test_the_discriminator_learns_to_tell() -> None:
    torch.manual_seed(0)
    discriminator = Discriminator(2)
    optimizer = torch.optim.Adam(discriminator.parameters(), 1e-2)
    real, fake = torch.randn(16, 2, 4, 4), torch.randn(16, 2, 4, 4) * 0.2
    for _ in islice(repeat(None), 60):
        loss = discriminator_loss(discriminator(real), discriminator(fake))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.7  # 2 log 2 = 1.39 where nothing is told apart
    assert generator_loss(discriminator(fake)) > generator_loss(discriminator(real))
