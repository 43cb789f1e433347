import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from crf.teacher.flow_matching import FlowSchedule


@pytest.mark.parametrize("shift", [1.0, 3.0])
@pytest.mark.parametrize("steps", [28, 40, 50])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_step_is_bit_equal_to_diffusers(shift: float, steps: int, dtype: torch.dtype) -> None:
    config = {"shift": shift}
    noise_schedule, stock = FlowSchedule(config), FlowMatchEulerDiscreteScheduler.from_config(config)
    stock.set_timesteps(steps)
    generator = torch.Generator().manual_seed(0)
    ours = theirs = torch.randn((2, 8, 4, 4), generator=generator, dtype=dtype)
    for number, (timestep, to_timestep) in enumerate(noise_schedule.path(steps)):
        assert torch.tensor(timestep) == stock.timesteps[number]
        assert noise_schedule.sigma(timestep, ours) == stock.sigmas[number]
        output = torch.randn(ours.shape, generator=generator, dtype=dtype)
        theirs = stock.step(output, stock.timesteps[number], theirs).prev_sample
        ours = noise_schedule.advance(output, ours, timestep, to_timestep)
        assert torch.equal(ours, theirs)


def test_timesteps_fall_from_all_noise_to_none() -> None:
    path = FlowSchedule({"shift": 3.0}).path(40)
    assert len(path) == 40
    assert (path[0][0], path[-1][1]) == (1000.0, 0.0)
    assert [to for _, to in path[:-1]] == [timestep for timestep, _ in path[1:]]


def test_split_inverts_add_noise_and_an_euler_step_is_a_step() -> None:
    noise_schedule = FlowSchedule({"shift": 3.0})
    x0, eps = torch.randn(2, 3, 4, 4, 4, dtype=torch.float64).unbind(0)
    z = noise_schedule.add_noise(x0, eps, 301)
    torch.testing.assert_close(noise_schedule.noise(z, x0, 301), eps)
    for found, expected in zip(noise_schedule.split(eps - x0, z, 301), (x0, eps), strict=True):
        torch.testing.assert_close(found, expected)
    advanced = noise_schedule.advance(eps - x0, z, 301, 101)
    torch.testing.assert_close(advanced, noise_schedule.add_noise(x0, eps, 101), rtol=1e-5, atol=1e-5)
    assert torch.equal(noise_schedule.add_noise(x0, eps, noise_schedule.final), x0)


def test_a_shift_that_depends_on_the_image_is_rejected() -> None:
    with pytest.raises(ValueError, match="use_dynamic_shifting"):
        FlowSchedule({"use_dynamic_shifting": True})
