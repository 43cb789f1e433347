"""The CRF inside the trajectory: it replaces an evaluation's x0 before the solver steps on from it."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from crf.errors import ScheduleError
from crf.model.latent_crf import LatentCRF
from crf.sampling.family_pipelines import LatentCRFPipeline
from crf.sampling.sampler import run_lead, run_schedules, run_tail
from crf.sampling.trajectory import Corrections, Memory, follow
from crf.schedule import Schedule
from crf.teacher.teacher import Teacher
from tests.support.crfs import make_inside_crf
from tests.support.pipelines import quiet
from tests.support.teachers import TINY

CAPTIONS = ["a cat", "two red boats"]
SEVERAL = "2@981,841 + crf + 3@701,541,401 + crf + 2@241,101 + crf"
PLAIN = "7@981,841,701,541,401,241,101"


def noise() -> torch.Tensor:
    return torch.randn((2, 8, 4, 4), generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def run(teacher: Teacher, text: str, crf: LatentCRF | None = None) -> torch.Tensor:
    given, schedule = teacher.condition(CAPTIONS, 7.5), Schedule.parse(text)
    [end] = run_schedules(teacher, [schedule], noise(), given, crf)
    return end


@pytest.mark.parametrize(
    ("family", "solver"),
    [*(("sd", solver) for solver in ("", " (dpm++)", " (dpm++3m)", " (unipc)")), ("sd_v", " (dpm++)"), ("sd3", ""),
     ("sdxl", " (dpm++)"), ("sd3", " (dpm++)")],
)  # fmt: skip
def test_crfs_before_training_change_nothing_to_the_bit(family: str, solver: str) -> None:
    teacher = Teacher(TINY[family]())
    assert torch.equal(
        run(teacher, SEVERAL + solver, make_inside_crf(family, trained=False)), run(teacher, PLAIN + solver)
    )
    assert not torch.equal(run(teacher, SEVERAL + solver, make_inside_crf(family)), run(teacher, PLAIN + solver))


@torch.no_grad()
def test_several_crfs_are_the_composition_of_single_ones() -> None:
    teacher, crf = Teacher(TINY["sd_v"]()), make_inside_crf()
    given, state, memory = teacher.condition(CAPTIONS, 7.5), noise(), Memory()
    for path in ([(981, 841), (841, 701)], [(701, 541), (541, 401), (401, 241)], [(241, 101), (101, -1)]):
        single = Corrections(crf, frozenset({len(path) - 1}))
        state = follow(teacher, state, path, given, corrections=single, memory=memory).state
    assert torch.equal(run(teacher, SEVERAL, crf), state)


@pytest.mark.parametrize("family", ["sd", "sd_v", "sd3"])
@torch.no_grad()
def test_the_solver_remembers_what_the_crf_made_of_an_evaluation(family: str) -> None:
    """DPM-Solver++ (2M) by hand (arXiv 2211.01095, algorithm 2), with the CRF's x0 in the place of the teacher's."""
    teacher, crf = Teacher(TINY[family]()), make_inside_crf(family)
    given, levels = teacher.condition(CAPTIONS, 7.5), teacher.noise_schedule
    stops, corrected = [981, 841, 701, 541], {1}
    signal = [float(levels.signal(t)) for t in stops]
    sigma = [levels.noise_factor(t) for t in stops]
    half = [float(torch.log(torch.tensor(a / s))) for a, s in zip(signal, sigma, strict=True)]
    state, past, guidance = noise(), None, None
    for i in range(3):
        output, difference = teacher.evaluate(state, stops[i], given)
        x0 = own = levels.split(output, state, stops[i])[0]
        assert difference is not None
        guidance = levels.split(difference, torch.zeros_like(state), stops[i])[0]
        if i in corrected:
            context = {"previous_BCHW": past, "guidance_BCHW": guidance}
            told = torch.tensor([[stops[i], stops[i + 1]]] * 2).float()
            x0 = crf(state, given.pooled_BD, own, **context, timesteps_B2=told)
        h, slope = half[i + 1] - half[i], torch.zeros_like(x0)
        if past is not None:
            slope = (x0 - past) * h / (half[i] - half[i - 1])
        state = sigma[i + 1] / sigma[i] * state + signal[i + 1] * (1 - float(torch.exp(torch.tensor(-h)))) * (
            x0 + slope / 2
        )
        past = x0
    schedule = replace(Schedule.parse("3@981,841,701..541 (dpm++)"), corrections=(2,))
    found = run_lead(teacher, schedule, noise(), given, crf=crf).state
    torch.testing.assert_close(found, state, rtol=1e-3, atol=1e-3)


@torch.no_grad()
def test_crfs_stand_in_lead_and_tail_and_between_them() -> None:
    teacher, crf = Teacher(TINY["sd"]()), make_inside_crf()
    text = "1@981 + crf + 2@841,701..601 + crf + 1@541 + crf + 1@401 (recomputed)"
    given, schedule, handed = teacher.condition(CAPTIONS, 7.5), Schedule.parse(text), Schedule.parse("1@981 + crf")
    whole = run(teacher, text, crf)
    reached = run_lead(teacher, schedule, noise(), given, crf=crf)
    assert torch.equal(run_tail(teacher, schedule, reached, given, crf), whole)
    by_place = {  # without the CRF at one of its three places
        place: run(teacher, text.replace(without, plain), crf)
        for place, without, plain in (
            ("lead", "1@981 + crf + 2@841,701..601", "3@981,841,701..601"),
            ("between", "..601 + crf + 1@541", "..601 + x0 + 1@541"),
            ("tail", "1@541 + crf + 1@401", "2@541,401"),
        )
    }
    assert all(not torch.equal(end, whole) for end in by_place.values())
    with pytest.raises(ScheduleError, match="a CRF for the schedule"):
        run_lead(teacher, handed, noise(), given)


def test_the_pipeline_runs_several_crfs(tiny_teacher: Path) -> None:
    crf, schedule = make_inside_crf(), Schedule.parse(SEVERAL + " (dpm++)")
    pipeline = quiet(LatentCRFPipeline.from_teacher(tiny_teacher, crf, schedule))
    latents = pipeline(CAPTIONS, latents=noise(), guidance_scale=7.5, output_type="latent").images
    assert torch.equal(latents, run(Teacher.load(tiny_teacher), SEVERAL + " (dpm++)", crf))
