import numpy as np
import pytest
import torch

from crf.sampling.sampler import run_lead
from crf.sampling.trajectory import follow
from crf.schedule import TEACHER_STEPS, Schedule
from crf.search.costs import compute_first_order, compute_levels, compute_second_order, multiply_trajectory
from crf.teacher.teacher import Teacher
from tests.support.teachers import TINY


@pytest.mark.parametrize("family", ["sd", "sdxl", "sd3"])
@torch.no_grad()
def test_costs_are_the_errors_of_steps_that_the_sampler_takes(family: str) -> None:
    """From the teacher's own states, by its network: no step of the costs evaluates it."""
    teacher = Teacher(TINY[family]())
    noise_schedule, given = teacher.noise_schedule, teacher.condition(["a cat", "a dog"], 7.5)
    state = torch.randn(2, *teacher.latent_shape(teacher.default_size), generator=torch.Generator().manual_seed(0))
    states, x0s = [state], []
    for step in noise_schedule.path(TEACHER_STEPS):
        reached = follow(teacher, states[-1], [step], given)
        states.append(reached.state)
        x0s.append(reached.x0)
    timesteps = list(noise_schedule.timesteps(TEACHER_STEPS))
    levels = compute_levels(noise_schedule, timesteps)
    products = multiply_trajectory(states, x0s)
    first, second = compute_first_order(products, *levels), compute_second_order(products, *levels)

    def error(found: torch.Tensor, j: int) -> float:
        return float((found - states[j]).square().mean((1, 2, 3)).sqrt().mean() / levels[0][j])

    stops = [*timesteps, noise_schedule.final]
    for i, j in ((0, 7), (20, 30), (44, 50)):
        expected = error(follow(teacher, states[i], [(stops[i], stops[j])], given).state, j)
        assert first[i, j] == pytest.approx(expected, rel=1e-3, abs=1e-5)
    # A second-order step from the teacher's own first step: h = 0, i = 1.
    for j in (3, 9):
        text = f"2@{stops[0]},{stops[1]}..{stops[j]} (dpm++)" if family != "sd3" else None
        if text:
            found = run_lead(teacher, Schedule.parse(text), states[0], given).state
            assert second[0, 1, j] == pytest.approx(error(found, j), rel=1e-2, abs=1e-4)
    assert np.isinf(first[np.tril_indices(len(first))]).all()
    # The teacher's own steps are exact.
    assert np.diagonal(first, 1).max() < 1e-5
