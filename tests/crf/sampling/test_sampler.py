from pathlib import Path

import pytest
import torch

from crf.errors import ScheduleError, TeacherError
from crf.evaluation.methods import list_methods
from crf.model.config import LatentCRFConfig
from crf.model.latent_crf import LatentCRF
from crf.sampling.paths import find_lead_path, find_tail_path
from crf.sampling.sampler import run_lead, run_schedules, run_tail
from crf.schedule import Schedule
from crf.teacher.teacher import Teacher
from tests.support.teachers import TEXT_WIDTH, TINY

CAPTIONS = ["a cat", "two red boats"]


@pytest.fixture(scope="module")
def teacher(tiny_teacher: Path) -> Teacher:
    return Teacher.load(tiny_teacher)


@pytest.fixture(scope="module")
def crf() -> LatentCRF:
    torch.manual_seed(0)
    return LatentCRF(LatentCRFConfig(height=4, width=4, text_width=TEXT_WIDTH, hidden=4, filters=4)).eval()


def noise() -> torch.Tensor:
    return torch.randn((2, 8, 4, 4), generator=torch.Generator().manual_seed(1))


def run(teacher: Teacher, text: str, crf: LatentCRF | None = None, renoise: str = "direct") -> torch.Tensor:
    return run_schedule(teacher, Schedule.parse(text, renoise), crf)  # type: ignore[arg-type]


def run_schedule(teacher: Teacher, schedule: Schedule, crf: LatentCRF | None = None) -> torch.Tensor:
    given = teacher.condition(CAPTIONS, 7.5)
    return run_tail(teacher, schedule, run_lead(teacher, schedule, noise(), given), given, crf)


def test_the_last_evaluations_stand_where_the_schedule_says(teacher: Teacher) -> None:
    assert find_tail_path(teacher.noise_schedule, Schedule.parse("31/40 + 2/50")) == [(21, 1), (1, -19)]
    assert find_tail_path(teacher.noise_schedule, Schedule.parse("31/40 + 2@201,21")) == [(201, 21), (21, -1)]
    assert find_tail_path(teacher.noise_schedule, Schedule.parse("31/40")) == []


def test_the_first_evaluations_stand_where_the_schedule_says(teacher: Teacher) -> None:
    assert find_lead_path(teacher.noise_schedule, Schedule.parse("40@981..181")) == teacher.noise_schedule.path(50)[:40]
    assert find_lead_path(teacher.noise_schedule, Schedule.parse("3@981..")) == [(981, 654), (654, 326), (326, -1)]


def test_a_tail_that_goes_on_where_the_lead_stopped_is_one_schedule(teacher: Teacher) -> None:
    rest = ",".join(str(t) for t in teacher.noise_schedule.timesteps(40)[31:])
    torch.testing.assert_close(run(teacher, f"31/40 + 9@{rest}"), run(teacher, "40/40"), rtol=0, atol=0)


def test_the_consistent_hand_over_of_x0_is_the_scheduled_jump(teacher: Teacher) -> None:
    """Clean estimate plus the trajectory's own noise at t = 21 is what DDIM would have stepped to."""
    schedule = Schedule.parse("31/40 + x0 + 1@21", "consistent")
    given = teacher.condition(CAPTIONS, 7.5)
    reached = run_lead(teacher, schedule, noise(), given)
    stepped = teacher.noise_schedule.add_noise(reached.x0, reached.eps, 21)
    output = teacher.guided_output(stepped, 21, given)
    expected = teacher.noise_schedule.add_noise(*teacher.noise_schedule.split(output, stepped, 21), -1)
    assert torch.equal(run_tail(teacher, schedule, reached, given), expected)


@pytest.mark.parametrize("text", ["31/40 + x0 + 2@101,21", "31/40 + x0 + 1/50"])
def test_recomputed_noise_of_the_teachers_own_x0_is_its_own_noise(teacher: Teacher, text: str) -> None:
    torch.testing.assert_close(run(teacher, text, renoise="recomputed"), run(teacher, text, renoise="consistent"))


def test_a_schedule_with_a_crf_needs_one(teacher: Teacher) -> None:
    with pytest.raises(ScheduleError, match=r"a CRF for the schedule .*, found none"):
        run(teacher, "31/40 + crf")


def test_a_spacing_places_the_first_and_the_last_evaluations(teacher: Teacher) -> None:
    noise_schedule = teacher.noise_schedule.with_spacing("trailing")
    assert noise_schedule.path(40)[30] == (249, 224)
    assert find_tail_path(teacher.noise_schedule, Schedule.parse("31/40 + 2/50 (trailing)")) == [(39, 19), (19, -1)]
    assert find_tail_path(teacher.noise_schedule, Schedule.parse("31/40 + 2/50 (leading)")) == [(21, 1), (1, -19)]
    given = teacher.condition(CAPTIONS, 7.5)
    reached = {
        text: run_lead(teacher, Schedule.parse(text), noise(), given).timestep for text in ("3/4", "3/4 (trailing)")
    }
    assert reached == {"3/4": 1, "3/4 (trailing)": -1 + 250}


def test_flow_matching_has_a_spacing_of_its_own() -> None:
    with pytest.raises(TeacherError, match="whose shift spaces its steps, found 'trailing'; leave it out"):
        run(Teacher(TINY["sd3"]()), "4/4 (trailing)")


@pytest.mark.parametrize("first", ["5/8", "5@981..201"])
def test_schedules_together_give_what_each_schedule_gives_alone(teacher: Teacher, crf: LatentCRF, first: str) -> None:
    rows = list_methods(first, teacher.noise_schedule)
    given, schedules = teacher.condition(CAPTIONS, 7.5), [method.schedule for method in rows]
    with torch.no_grad():
        together = list(run_schedules(teacher, schedules, noise(), given, crf))
    for method, latents in zip(rows, together, strict=True):
        alone = run_schedule(teacher, method.schedule, crf)
        assert torch.equal(latents, alone), method.label


@pytest.mark.parametrize("family", list(TINY))
def test_dpm_solver_is_the_stock_pipeline_with_that_scheduler(family: str) -> None:
    stock = TINY[family]()
    teacher = Teacher(stock)
    stock.scheduler = teacher.noise_schedule.multistep("dpm++")
    stock.set_progress_bar_config(disable=True)
    theirs = stock(CAPTIONS, latents=noise(), num_inference_steps=12, guidance_scale=7.5, output_type="latent").images
    schedule = Schedule.parse("12/12 (dpm++)")
    given = teacher.condition(CAPTIONS, 7.5)
    ours = run_tail(teacher, schedule, run_lead(teacher, schedule, noise(), given), given)
    torch.testing.assert_close(ours, theirs)
