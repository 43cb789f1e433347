from itertools import pairwise

import pytest
from diffusers import DPMSolverMultistepScheduler
from hypothesis import given
from hypothesis import strategies as st

from crf.errors import ScheduleError
from crf.sampling.paths import count_passes, find_lead_path, find_lead_stops
from crf.sampling.spacings import AYS, space_timesteps
from crf.schedule import Schedule
from crf.teacher.teacher import Teacher
from tests.support.teachers import TINY

SCHEDULES = {family: Teacher(TINY[family]()).noise_schedule for family in ("sd", "sd3")}
SPACINGS = ["", "power 1.15", "power 2", "karras", "ays", "ays-xl"]


@given(st.sampled_from(["sd", "sd3"]), st.sampled_from(SPACINGS), st.integers(1, 17), st.none() | st.integers(1, 300))
def test_timesteps_fall_from_the_first_to_the_end(family: str, spacing: str, count: int, last: int | None) -> None:
    noise_schedule = SCHEDULES[family]
    stops = space_timesteps(noise_schedule, spacing, count, 981, last)
    assert len(stops) == count + 1
    assert stops[0] == 981
    assert stops[-1] == (noise_schedule.final if last is None else last)
    assert all(a > b for a, b in pairwise(stops))
    assert all(noise_schedule.check_timestep(stop) == stop for stop in stops[:-1])


def test_power_one_without_an_end_is_the_steps_of_a_full_schedule() -> None:
    own = SCHEDULES["sd"].path(50)
    assert find_lead_path(SCHEDULES["sd"], Schedule.parse(f"50@{own[0][0]}.. (power 1)"))[:-1] == own[:-1]


def test_align_your_steps_has_the_published_timesteps() -> None:
    stops = find_lead_stops(SCHEDULES["sd"], Schedule.parse("10@999.. (ays)"))
    assert stops[:-1] == list(AYS["ays"])


def test_karras_spaces_the_levels_as_diffusers_does() -> None:
    noise_schedule = SCHEDULES["sd"]
    stops = find_lead_stops(noise_schedule, Schedule.parse("9@999..1 (karras)"))
    scheduler = DPMSolverMultistepScheduler.from_config(noise_schedule.multistep("dpm++").config)
    levels = [noise_schedule.noise_level(stop) for stop in (999, 1)]
    expected = scheduler._convert_to_karras(in_sigmas=scheduler.sigmas.new_tensor(levels), num_inference_steps=10)
    found = [noise_schedule.noise_level(stop) for stop in stops]
    assert found == pytest.approx(list(map(float, expected)), rel=0.03)  # the timesteps are whole numbers


@pytest.mark.parametrize("text", ["990@991..1 (power 2)", "300@981.. (karras)"])
def test_too_many_timesteps_are_rejected(text: str) -> None:
    with pytest.raises(ScheduleError, match="timesteps that fall"):
        find_lead_stops(SCHEDULES["sd"], Schedule.parse(text))


@pytest.mark.parametrize("text", ["2@981,400.5", "2@1000,401", "31/40 + 1@100.5"])
def test_diffusion_takes_whole_timesteps_below_1000(text: str) -> None:
    with pytest.raises(ScheduleError, match="whole timesteps below 1000"):
        count_passes(SCHEDULES["sd"], Schedule.parse(text), guided=True, shallow=1)


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("50/50", 100),
        ("31/40 + crf + 2/50", 66),
        ("4@981,721,401,161, guided to 401", 7),
        ("4@981,721,401,161, guided 900 to 401", 6),
        ("6@981,801,601,401,201,1 (deepcache 3)", 2 * (2 + 4 * 0.25)),
        ("4@981,801,601,401..301 + 2@201,21 (deepcache 2), guided to 601", 2 + 0.5 + 2 + 0.25 + 1 + 0.25),
    ],
)
def test_passes_are_counted(text: str, passes: float) -> None:
    assert count_passes(SCHEDULES["sd"], Schedule.parse(text), guided=True, shallow=0.25) == passes
