from dataclasses import replace
from functools import cache

import pytest
import torch

from crf.sampling.sampler import run_lead, run_tail
from crf.schedule import Schedule
from crf.teacher.teacher import Teacher
from tests.support.teachers import TINY

FAMILIES = ["sd", "sd_v", "sdxl", "sd3"]
SOLVERS = ["dpm++", "dpm++3m", "unipc"]


@torch.no_grad()
def sample(teacher: Teacher, text: str, guidance_scale: float = 7.5) -> torch.Tensor:
    noise_BCHW = torch.randn(2, *teacher.latent_shape(teacher.default_size), generator=torch.Generator().manual_seed(1))
    given = teacher.condition(["a cat"] * 2, guidance_scale)
    return run_lead(teacher, Schedule.parse(text), noise_BCHW, given).state


@cache
def converge(family: str) -> tuple[int, torch.Tensor]:
    """Return the timestep at which the family's teacher starts, and where so many steps from there end."""
    teacher = Teacher(TINY[family]())
    start = round(teacher.noise_schedule.timesteps(50)[0])
    return start, sample(teacher, f"200@{start}..")


@pytest.mark.parametrize("family", ["sd", "sd_v", "sdxl"])
@pytest.mark.parametrize("solver", SOLVERS)
def test_its_own_timesteps_written_out_end_where_diffusers_scheduler_does(family: str, solver: str) -> None:
    """As far as its last two steps, which diffusers takes with a lower order."""
    teacher = Teacher(TINY[family]())
    scheduler = teacher.noise_schedule.multistep(solver)
    scheduler.set_timesteps(6)
    timesteps = list(map(int, scheduler.timesteps))
    placed = f"4@{','.join(map(str, timesteps[:4]))}..{timesteps[4]} ({solver})"
    torch.testing.assert_close(sample(teacher, placed), sample(teacher, f"4/6 ({solver})"), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", ["sd", "sd3"])
@pytest.mark.parametrize("solver", SOLVERS)
def test_every_solver_ends_where_the_teachers_own_sampler_converges(family: str, solver: str) -> None:
    teacher = Teacher(TINY[family]())
    start, reference = converge(family)
    errors = [float((sample(teacher, f"{n}@{start}.. ({solver})") - reference).square().mean()) for n in (4, 48)]
    assert errors[1] < errors[0] / 4


@pytest.mark.parametrize("family", FAMILIES)
def test_one_evaluation_is_a_ddim_step(family: str) -> None:
    teacher = Teacher(TINY[family]())
    text = f"1@{round(teacher.noise_schedule.timesteps(50)[0])}..401"
    for solver in SOLVERS:
        torch.testing.assert_close(sample(teacher, f"{text} ({solver})"), sample(teacher, text), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("family", FAMILIES)
def test_guidance_ends_where_the_schedule_says(family: str) -> None:
    teacher, text = Teacher(TINY[family]()), "4@981,721,401,161"
    whole, none = sample(teacher, text), sample(teacher, f"{text}, guided 1000 to 999")
    first = sample(teacher, f"{text}, guided to 600")
    assert not torch.equal(whole, first)
    assert not torch.equal(none, first)
    assert torch.equal(whole, sample(teacher, f"{text}, guided to 161"))
    torch.testing.assert_close(none, sample(teacher, text, guidance_scale=1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_guidance_is_reused_in_between(family: str) -> None:
    """By hand: the output with the caption alone, and the rest of the guidance by the last difference."""
    teacher = Teacher(TINY[family]())
    given = teacher.condition(["a cat"] * 2, 7.5)
    alone = replace(given, inputs={name: rows[2:] for name, rows in given.inputs.items()}, guidance_scale=1)
    noise_BCHW = torch.randn(2, *teacher.latent_shape(teacher.default_size), generator=torch.Generator().manual_seed(1))
    state, difference = noise_BCHW, torch.tensor(0)
    for place, (timestep, to_timestep) in enumerate([(981, 721), (721, 401), (401, 161), (161, 61)]):
        if place % 2 == 0:
            output, computed = teacher.evaluate(state, timestep, given)
            assert computed is not None
            difference = computed
        else:
            output = teacher.guided_output(state, timestep, alone) + 6.5 * difference
        state = teacher.noise_schedule.advance(output, state, timestep, to_timestep)
    torch.testing.assert_close(sample(teacher, "4@981,721,401,161..61, guidance every 2"), state)
    both = sample(teacher, "2@981,721..401, guidance every 2")
    schedule = Schedule.parse("2@981,721..401 + 2@401,161, guidance every 2")
    reached = run_lead(teacher, schedule, noise_BCHW, given)
    assert torch.equal(reached.state, both)
    whole = sample(teacher, "4@981,721,401,161, guidance every 2")
    torch.testing.assert_close(run_tail(teacher, schedule, reached, given), whole)
