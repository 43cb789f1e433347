from dataclasses import replace

import numpy as np
import pytest

from crf.sampling.paths import list_timesteps
from crf.schedule import TEACHER_STEPS
from crf.search.candidates import Space, list_candidates, vary
from crf.search.dynamic_programming import find_first_order_paths
from crf.teacher.teacher import Teacher
from tests.support.teachers import TINY


def make_space(family: str, crf_lead_to: float | None = None) -> Space:
    noise_schedule = Teacher(TINY[family]()).noise_schedule
    timesteps = list(noise_schedule.timesteps(TEACHER_STEPS))
    i, j = np.indices((TEACHER_STEPS + 1,) * 2)
    costs = np.where(i < j, (j - i - 1.0) ** 2, np.inf)
    paths = find_first_order_paths(costs)
    return Space(noise_schedule, timesteps, costs, {"ddim": paths, "dpm++": paths}, True, 0.3, crf_lead_to)


@pytest.mark.parametrize("family", ["sd", "sd3"])
@pytest.mark.parametrize("evaluations", [33, 10, 4, 2, 1])
def test_every_candidate_can_be_run_at_its_cost(family: str, evaluations: int) -> None:
    space = make_space(family, crf_lead_to=201)
    found = list_candidates(space, evaluations)
    assert len({candidate.schedule for candidate in found}) == len(found)
    for candidate in found:
        timesteps = list_timesteps(space.noise_schedule, candidate.schedule)
        assert timesteps[0] == space.start
        assert timesteps == sorted(timesteps, reverse=True)
        assert space.count_evaluations(candidate.schedule) <= evaluations
    families = {candidate.family for candidate in found}
    assert {"ddim, even", "ddim, dynamic programming", "dpm++, power", "dpm++, karras"} <= families
    assert ("dpm++, ays" in families) == (family == "sd")


def test_the_crf_the_guidance_and_the_cache_are_tried() -> None:
    families = {candidate.family for candidate in list_candidates(make_space("sd", crf_lead_to=201), 17)}
    assert {
        "crf",
        "x0",
        "guided to a timestep",
        "guidance reused",
        "ddim, DeepCache",
        "dpm++, DeepCache, extrapolated",
    } <= families
    assert "crf" not in {candidate.family for candidate in list_candidates(make_space("sd"), 17)}


def test_a_crf_that_is_told_timesteps_is_tried_between_the_evaluations() -> None:
    space = replace(make_space("sd"), crf_corrects=True)
    corrected = [each for each in list_candidates(space, 10) if each.schedule.corrections]
    assert {each.family for each in corrected} == {"ddim, corrected", "dpm++, corrected"}
    assert {len(each.schedule.corrections) for each in corrected} == {1, 5, 10}
    assert "crf" not in {each.family for each in list_candidates(space, 10)}
    [varied, *_] = vary(space, corrected[0].schedule, 8, seed=3)
    assert varied.schedule.corrections == corrected[0].schedule.corrections


def test_variations_stay_near_and_are_the_same_for_a_seed() -> None:
    space = make_space("sd")
    best = next(c.schedule for c in list_candidates(space, 10) if c.family == "ddim, even")
    varied = vary(space, best, 8, seed=3)
    assert len(varied) > 4
    assert varied == vary(space, best, 8, seed=3) != vary(space, best, 8, seed=4)
    timesteps = np.array(list_timesteps(space.noise_schedule, best))
    for candidate in varied:
        moved = np.array(candidate.schedule.lead_timesteps)
        assert moved[0] == timesteps[0]
        assert np.abs(moved - timesteps).max() < 98
