from itertools import islice, repeat
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from crf.stages.arrays import ROLLOUT_LATENTS
from crf.teacher.flow_matching import FlowSchedule
from crf.teacher.noise_schedule import NoiseSchedule
from crf.training.pairs import (
    aim_at_tail,
    make_channels_first,
    make_noisy_pairs,
    make_rollout_pairs,
    make_teacher_pairs,
)
from tests.support.batches import NOISE_SCHEDULE, stored_batch


def test_stored_latents_become_channels_first_without_a_copy_of_the_order() -> None:
    batch = stored_batch()["latents"]
    assert make_channels_first(batch).shape == (8, 2, 4, 4)
    assert make_channels_first(batch)[3, 1, 2, 0] == float(batch[3, 2, 0, 1])


def test_noisy_pairs_have_the_noise_of_their_timesteps() -> None:
    zeros: dict[str, Any] = {"latents": np.zeros((512, 4, 4, 2), np.float16), "text": np.zeros((512, 3), np.float16)}
    pairs = next(
        make_noisy_pairs(iter([{**zeros, "row": np.arange(512)}]), NOISE_SCHEDULE, (201, 201), seed=0, with_x0=True)
    )
    assert (pairs.target_BCHW == 0).all()
    assert float(pairs.z_BCHW.std()) == pytest.approx(float((1 - NOISE_SCHEDULE.alpha(201)) ** 0.5), rel=0.02)
    assert pairs.x0_BCHW is not None
    torch.testing.assert_close(pairs.x0_BCHW * NOISE_SCHEDULE.alpha(201) ** 0.5, pairs.z_BCHW)


def test_noise_follows_from_seed_step_and_rank() -> None:
    def noisy(first_step: int, count: int, rank: int = 0, seed: int = 3) -> list[torch.Tensor]:
        pairs = make_noisy_pairs(
            repeat(stored_batch()), NOISE_SCHEDULE, (1, 250), seed, first_step=first_step, rank=rank
        )
        return [each.z_BCHW for each in islice(pairs, count)]

    for resumed, undisturbed in zip(noisy(2, 2), noisy(0, 4)[2:], strict=True):
        assert torch.equal(resumed, undisturbed)
    others = [noisy(0, 1)[0], noisy(1, 1)[0], noisy(0, 1, rank=1)[0], noisy(0, 1, seed=4)[0]]
    assert len({float(z_BCHW.sum()) for z_BCHW in others}) == 4


def test_teacher_pairs_take_the_arrays_they_are_told() -> None:
    batch = stored_batch()
    pairs = next(make_teacher_pairs(iter([batch]), state="latents", x0="step_40"))
    assert torch.equal(pairs.z_BCHW, make_channels_first(batch["latents"]))
    assert torch.equal(pairs.target_BCHW, make_channels_first(batch["step_50"]))
    assert pairs.x0_BCHW is not None
    assert torch.equal(pairs.x0_BCHW, make_channels_first(batch["step_40"]))


def test_a_target_may_follow_from_the_state() -> None:
    batch = stored_batch()
    pairs = next(make_teacher_pairs(iter([batch]), target="latents", find_target=lambda state, at: state + at))
    expected = make_channels_first(batch["step_40"]) + make_channels_first(batch["latents"])
    assert torch.equal(pairs.target_BCHW, expected)


@given(
    st.integers(102, 999),
    st.sampled_from([1, 61, 101]),
    st.sampled_from([NOISE_SCHEDULE, FlowSchedule({"shift": 3.0})]),
)
def test_recomputed_renoising_takes_the_aimed_latents_to_the_state_at_the_tail(
    timestep: int, tail: int, noise_schedule: NoiseSchedule
) -> None:
    generator = torch.Generator().manual_seed(timestep)
    state, at_tail = torch.randn(2, 1, 2, 4, 4, generator=generator, dtype=torch.float64)
    clean = aim_at_tail(noise_schedule, state, timestep, at_tail, tail)
    landed = noise_schedule.add_noise(clean, noise_schedule.noise(state, clean, timestep), tail)
    assert float((landed - at_tail).abs().max()) <= 1e-10


def test_pairs_split_into_equal_parts() -> None:
    pairs = next(make_teacher_pairs(iter([stored_batch()])))
    parts = pairs.split(4)
    assert [part.rows_B.tolist() for part in parts] == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert torch.equal(torch.cat([part.z_BCHW for part in parts]), pairs.z_BCHW)
    assert {part.x0_BCHW for part in parts} == {None}


def test_pairs_of_a_rollout_are_what_was_met_at_one_place_and_the_same_after_a_resume() -> None:
    random, told = np.random.default_rng(0), [(981.0, 741.0), (741.0, 501.0), (501.0, -1.0)]
    latents = {name: random.standard_normal((5, 3, 4, 4, 2)).astype(np.float16) for name in ROLLOUT_LATENTS}
    gains = np.tile(np.array([0.1, 0.2, 0.5], np.float32), (5, 1))
    others = {"step_50": latents[ROLLOUT_LATENTS[0]][:, 0], "text": np.zeros((5, 3), np.float16)}
    batch: dict[str, Any] = {**latents, **others, "rollout_gain": gains, "row": np.arange(5)}

    def make(first_step: int, aims_at_next: bool = True) -> list[Any]:
        batches = repeat(batch, 6 - first_step)
        return list(make_rollout_pairs(batches, told, seed=3, aims_at_next=aims_at_next, first_step=first_step))

    whole = make(0)
    for pairs, resumed in zip(whole[2:], make(2), strict=True):
        assert torch.equal(pairs.z_BCHW, resumed.z_BCHW)
        assert torch.equal(pairs.timesteps_B2, resumed.timesteps_B2)
    places = [told.index(tuple(each)) for each in whole[0].timesteps_B2.tolist()]
    assert len({tuple(each) for pairs in whole for each in pairs.timesteps_B2.tolist()}) == 3
    for row, place in enumerate(places):
        for name, values in (("rollout_guidance", whole[0].guidance_BCHW), ("rollout_next", whole[0].target_BCHW)):
            stored = torch.from_numpy(latents[name][row, place]).permute(2, 0, 1).float()
            assert torch.equal(values[row], stored)
    torch.testing.assert_close(whole[0].weight_B, torch.tensor([0.1, 0.2, 0.5])[places].square())
    squared = (whole[0].z_BCHW - whole[0].target_BCHW).square().mean((1, 2, 3))
    torch.testing.assert_close(whole[0].compute_loss(whole[0].z_BCHW), (squared * whole[0].weight_B).mean())
    assert make(0, aims_at_next=False)[0].weight_B is None
