import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from crf.flow_matching import FlowLevels


@pytest.mark.parametrize("shift", [1.0, 3.0])
@pytest.mark.parametrize("steps", [28, 40, 50])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_step_is_bit_equal_to_diffusers(shift: float, steps: int, dtype: torch.dtype) -> None:
    config = {"shift": shift}
    levels, stock = FlowLevels(config), FlowMatchEulerDiscreteScheduler.from_config(config)
    stock.set_timesteps(steps)
    generator = torch.Generator().manual_seed(0)
    ours = theirs = torch.randn((2, 8, 4, 4), generator=generator, dtype=dtype)
    for number, (timestep, to_timestep) in enumerate(levels.path(steps)):
        assert torch.tensor(timestep) == stock.timesteps[number]
        assert levels.sigma(timestep, ours) == stock.sigmas[number]
        output = torch.randn(ours.shape, generator=generator, dtype=dtype)
        theirs = stock.step(output, stock.timesteps[number], theirs).prev_sample
        ours = levels.advance(output, ours, timestep, to_timestep)
        assert torch.equal(ours, theirs)


def test_timesteps_fall_from_all_noise_to_none() -> None:
    path = FlowLevels({"shift": 3.0}).path(40)
    assert len(path) == 40
    assert (path[0][0], path[-1][1]) == (1000.0, 0.0)
    assert [to for _, to in path[:-1]] == [timestep for timestep, _ in path[1:]]


def test_split_inverts_add_noise_and_an_euler_step_is_a_step() -> None:
    levels = FlowLevels({"shift": 3.0})
    x0, eps = torch.randn(2, 3, 4, 4, 4, dtype=torch.float64).unbind(0)
    z = levels.add_noise(x0, eps, 301)
    torch.testing.assert_close(levels.noise(z, x0, 301), eps)
    for found, expected in zip(levels.split(eps - x0, z, 301), (x0, eps), strict=True):
        torch.testing.assert_close(found, expected)
    advanced = levels.advance(eps - x0, z, 301, 101)
    torch.testing.assert_close(advanced, levels.step(x0, eps, 101), rtol=1e-5, atol=1e-5)
    assert torch.equal(levels.step(x0, eps, levels.final), x0)


def test_a_shift_that_depends_on_the_image_is_refused() -> None:
    with pytest.raises(ValueError, match="use_dynamic_shifting"):
        FlowLevels({"use_dynamic_shifting": True})
