import pytest
import torch
from diffusers import DDIMScheduler

from crf.teacher.ddim import DiffusionSchedule

BASE = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}


@pytest.mark.parametrize("spacing", ["leading", "trailing"])
@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
def test_every_step_is_bit_equal_to_diffusers(prediction_type: str, spacing: str) -> None:
    config = {**BASE, "prediction_type": prediction_type, "timestep_spacing": spacing}
    noise_schedule, stock = DiffusionSchedule(config), DDIMScheduler.from_config(config)
    stock.set_timesteps(50)
    generator = torch.Generator().manual_seed(0)
    ours = theirs = torch.randn((2, 8, 4, 4), generator=generator)
    for timestep, to_timestep in noise_schedule.path(50):
        output = torch.randn(ours.shape, generator=generator)
        theirs = stock.step(output, timestep, theirs).prev_sample
        ours = noise_schedule.add_noise(*noise_schedule.split(output, ours, timestep), to_timestep)
        assert torch.equal(ours, theirs)


def test_where_the_paper_hands_over() -> None:
    noise_schedule = DiffusionSchedule({**BASE, "timestep_spacing": "leading"})
    assert noise_schedule.path(40)[30][1] == 201
    assert noise_schedule.path(50)[39][1] == 181
    assert [timestep for timestep, _ in noise_schedule.path(50)[-2:]] == [21, 1]
    assert noise_schedule.path(20)[18][1] == 1
    deviation = (1 - noise_schedule.alpha(201)) ** 0.5, (1 - noise_schedule.alpha(181)) ** 0.5
    assert [round(float(value), 3) for value in deviation] == [0.498, 0.466]


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
def test_split_inverts_add_noise(prediction_type: str) -> None:
    noise_schedule = DiffusionSchedule({**BASE, "prediction_type": prediction_type})
    x0, eps = torch.randn(2, 3, 4, 4, 4, dtype=torch.float64).unbind(0)
    z = noise_schedule.add_noise(x0, eps, 301)
    torch.testing.assert_close(noise_schedule.noise(z, x0, 301), eps)
    alpha = noise_schedule.alpha(301)
    output = eps if prediction_type == "epsilon" else alpha**0.5 * eps - (1 - alpha) ** 0.5 * x0
    for found, expected in zip(noise_schedule.split(output, z, 301), (x0, eps), strict=True):
        torch.testing.assert_close(found, expected)


def test_a_teacher_that_predicts_x0_is_rejected() -> None:
    with pytest.raises(ValueError, match="found 'sample'"):
        DiffusionSchedule({**BASE, "prediction_type": "sample"})
