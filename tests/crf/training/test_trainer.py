import io
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice, repeat
from typing import Any

import pytest
import torch

from crf.model.config import LatentCRFConfig
from crf.model.latent_crf import LatentCRF
from crf.training.pairs import Pairs, make_noisy_pairs, make_teacher_pairs
from crf.training.trainer import DivergedError, Trainer, TrainerConfig
from tests.support.batches import NOISE_SCHEDULE, stored_batch

SMALL = LatentCRFConfig(height=4, width=4, channels=2, text_width=3, heads=2, hidden=16, filters=16)


def fresh(optimization: TrainerConfig, config: LatentCRFConfig = SMALL) -> Trainer:
    torch.manual_seed(0)
    return Trainer(LatentCRF(config), optimization)


def noisy(first_step: int = 0) -> Iterator[Pairs]:
    return make_noisy_pairs(repeat(stored_batch()), NOISE_SCHEDULE, (1, 250), seed=0, first_step=first_step)


def run(state: Trainer, pairs: Iterator[Pairs], steps: int) -> list[dict[str, float]]:
    return [state.step(batch) for batch in islice(pairs, steps)]


@pytest.mark.parametrize(
    "changes", [{}, {"adversarial_weight": 0.05}, {"gradient_accumulation_steps": 2}, {"mixed_precision": "bf16"}]
)
def test_training_lowers_the_loss(changes: dict[str, Any]) -> None:
    state = fresh(replace(TrainerConfig(60, 1e-2, 5), **changes))
    losses = run(state, make_teacher_pairs(repeat(stored_batch())), 60)
    assert losses[-1]["mse"] < 0.5 * losses[0]["mse"]
    assert ("discriminator" in losses[0]) == ("adversarial_weight" in changes)


def near_fp32(changes: dict[str, Any]) -> None:
    """Twenty steps on the same batches; the losses stay near those of plain float32."""
    runs = [
        run(fresh(replace(TrainerConfig(20, 1e-2, 5), **each)), make_teacher_pairs(repeat(stored_batch())), 20)
        for each in ({}, changes)
    ]
    plain, changed = ([step["mse"] for step in each] for each in runs)
    assert plain[-1] < 0.9 * plain[0]
    assert changed == pytest.approx(plain, rel=0.03)


def test_bf16_stays_near_fp32() -> None:
    near_fp32({"mixed_precision": "bf16"})


# Importing the compiler warns of torch's own use of torch.jit.
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")
@pytest.mark.slow
def test_compiled_stays_near_fp32() -> None:
    """Needs a C++ compiler."""
    near_fp32({"compile": True})


def test_overfits_four_samples() -> None:
    """As used afterwards: the averaged weights with the running statistics, not those of the batch."""
    config = replace(SMALL, hidden=64, filters=64, iterations=3)
    state = fresh(TrainerConfig(800, 2e-2, 20, ema_decay=0.95), config)
    pairs = next(make_teacher_pairs(iter([stored_batch(4)])))
    run(state, repeat(pairs), 800)
    error = (state.infer(pairs) - pairs.target_BCHW).square().mean()
    assert float(error / pairs.target_BCHW.var()) < 1e-3


@pytest.mark.parametrize("adversarial_weight", [0.0, 0.05])
def test_resumed_is_bit_identical_to_undisturbed(adversarial_weight: float) -> None:
    optimization = TrainerConfig(7, 1e-2, 2, adversarial_weight)
    undisturbed, first = fresh(optimization), fresh(optimization)
    run(undisturbed, noisy(), 7)
    run(first, noisy(), 3)
    saved = io.BytesIO()
    torch.save(first.state_dict(), saved)
    saved.seek(0)
    resumed = fresh(optimization)
    resumed.load_state_dict(torch.load(saved, weights_only=True))
    run(resumed, noisy(3), 4)
    assert resumed.history == undisturbed.history
    assert flattened(resumed.state_dict()) == flattened(undisturbed.state_dict())


def flattened(state: object, name: str = "") -> dict[str, object]:
    """Every leaf of a nested state by its path, tensors as bytes."""
    if isinstance(state, torch.Tensor):
        return {name: state.numpy().tobytes()}
    if isinstance(state, dict):
        return {k: v for key, part in state.items() for k, v in flattened(part, f"{name}/{key}").items()}
    return {name: state}


def test_accumulated_gradients_are_those_of_the_whole_batch() -> None:
    """Where no batch-norm looks at the parts."""
    pairs = next(make_teacher_pairs(iter([stored_batch()])))
    weights = []
    for gradient_accumulation_steps in (1, 4):
        state = fresh(
            TrainerConfig(1, 1e-2, 0, gradient_accumulation_steps=gradient_accumulation_steps),
            replace(SMALL, normalizer="none"),
        )
        state.step(pairs)
        weights.append(torch.cat([parameter.flatten() for parameter in state.crf.module.parameters()]))
    torch.testing.assert_close(*weights, rtol=0, atol=1e-4)


def test_the_average_follows_at_once_and_smooths_later() -> None:
    optimization = TrainerConfig(1, 1.0, 0, ema_decay=0.9)
    old, new = torch.zeros(1), torch.ones(1)
    assert optimization.average(old, new, 1) == pytest.approx(9 / 11)
    assert optimization.average(old, new, 1000) == pytest.approx(0.1)
    assert optimization.average(torch.tensor(3), torch.tensor(4), 5) == 4


def test_a_loss_that_is_not_a_number_names_step_and_rows() -> None:
    bad = stored_batch()
    bad["step_50"][2] *= torch.nan
    bad["row"] += 40
    state = fresh(TrainerConfig(9, 1e-3, 0, adversarial_weight=0.1))
    run(state, make_teacher_pairs(iter([stored_batch()] * 2)), 2)
    with pytest.raises(DivergedError, match=r"step 2: .* mse nan, .* rows \[40, 41, .* rows \[42\] hold"):
        state.step(next(make_teacher_pairs(iter([bad]))))


def test_gradients_that_overflow_on_sound_inputs_are_told_apart() -> None:
    state = fresh(TrainerConfig(9, 1e-3, 0))
    with torch.no_grad():
        next(state.crf.module.parameters()).fill_(torch.inf)
    with pytest.raises(DivergedError, match=r"the inputs are sound; lower the learning rate, 0\.001 now"):
        state.step(next(noisy()))


def test_the_learning_rate_warms_up_and_decays() -> None:
    optimization = TrainerConfig(100, 1.0, 10)
    rates = [optimization.fraction_at(step) for step in range(100)]
    assert rates[:2] == [0.1, 0.2]
    assert max(rates) == rates[9] == 1.0
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 1e-3


def test_gradients_are_clipped() -> None:
    """AdamW moves a weight by the learning rate times g / (|g| + 1e-8): hardly, where g was cut to 1e-9."""
    state = fresh(TrainerConfig(2, 1.0, 0, max_grad_norm=1e-10))
    before = [parameter.detach().clone() for parameter in state.crf.module.parameters()]
    assert state.step(next(noisy()))["gradient_norm"] > 1e-3
    after = [parameter.detach() for parameter in state.crf.module.parameters()]
    decay = 1 - 0.01
    assert max(float((a * decay - b).abs().max()) for a, b in zip(before, after, strict=True)) < 0.02
