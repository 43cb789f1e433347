"""The computes of encode and teach, and the comparison, with a teacher of every family."""

from pathlib import Path

import numpy as np
import pytest
import torch

from crf.errors import ScheduleError
from crf.evaluation.methods import list_methods
from crf.model.config import LatentCRFConfig
from crf.model.latent_crf import LatentCRF
from crf.noise import sample_noise
from crf.sampling.family_pipelines import LatentCRFPipeline
from crf.sampling.sampler import run_lead, run_schedules
from crf.schedule import Schedule
from crf.stages.encode import EncodeImages, make_half_channels_last
from crf.stages.teach import TeachTrajectories
from crf.teacher.teacher import Teacher
from tests.support.teachers import TINY, save_pipeline

CAPTIONS = np.array(["a cat", "two red boats"])


@pytest.fixture(scope="module", params=list(TINY))
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_pipeline(TINY[request.param](), tmp_path_factory.mktemp(request.param))


def test_teach_ends_where_the_pipeline_does(folder: Path) -> None:
    seeds = np.array([5, 6], dtype=np.uint64)
    teach = TeachTrajectories(str(folder), "cpu", 1, 7.5, 32)
    taught = teach({"caption": CAPTIONS, "seed": seeds, "valid": np.array([True, True])})
    pipeline = LatentCRFPipeline.from_teacher(folder)
    pipeline.set_progress_bar_config(disable=True)
    noise = sample_noise([5, 6], (8, 4, 4))
    drawn = pipeline(list(CAPTIONS), latents=noise, output_type="latent").images
    expected = drawn.permute(0, 2, 3, 1).numpy().astype(np.float16)
    assert np.array_equal(taught["step_50"], expected)
    assert taught["step_40"].shape == (2, 4, 4, 8)
    assert np.isfinite(taught["text"]).all()
    assert set(taught) == {"caption", "seed", "valid", "step_40", "step_50", "text", "truncated", "halved_to"}


def test_a_rejected_row_of_teach_is_nan_and_harms_no_other(folder: Path) -> None:
    teach = TeachTrajectories(str(folder), "cpu", 1, 7.5, 32)
    batch = {"caption": np.array(["a cat", ""]), "seed": np.array([5, 6], dtype=np.uint64)}
    rejected, whole = (teach({**batch, "valid": np.array([True, valid])}) for valid in (False, True))
    for name in ("step_40", "step_50", "text"):
        assert np.isnan(rejected[name][1]).all()
        assert np.array_equal(rejected[name][0], whole[name][0])


def test_teach_stores_what_a_crf_on_x0_needs(folder: Path) -> None:
    """x0_40 and step_40 lie on one trajectory; sampling meets the same state at the end of 31/40."""
    seeds = np.array([5, 6], dtype=np.uint64)
    tail = round(Teacher.load(folder).noise_schedule.timesteps(50)[44])
    teach = TeachTrajectories(str(folder), "cpu", 1, 7.5, 32, x0=True, lead="31/40", tail=tail)
    taught = teach({"caption": CAPTIONS, "seed": seeds, "valid": np.array([True, True])})
    teacher = Teacher.load(folder)
    given, noise = teacher.condition(list(CAPTIONS), 7.5), sample_noise([5, 6], (8, 4, 4))
    for schedule, state, x0 in (("40/50", "step_40", "x0_40"), ("31/40", "lead_state", "lead_x0")):
        reached = run_lead(teacher, Schedule.parse(schedule), noise, given)
        assert np.array_equal(taught[state], make_half_channels_last(reached.state))
        assert np.array_equal(taught[x0], make_half_channels_last(reached.x0))
    at_tail = run_lead(teacher, Schedule.parse("44/50"), noise, given)
    assert np.array_equal(taught["tail_state"], make_half_channels_last(at_tail.state))


def test_a_tail_is_where_the_teachers_own_steps_are(folder: Path) -> None:
    with pytest.raises(ScheduleError, match="a timestep that the teacher's 50 steps visit, found 3; use "):
        TeachTrajectories(str(folder), "cpu", 1, 7.5, 32, tail=3)


def test_encode_gives_the_teachers_latents_and_text(folder: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    batch = {"image": image, "caption": CAPTIONS, "valid": np.array([True, False])}
    encoded = EncodeImages(str(folder), "cpu", 1)(batch)
    teacher = Teacher.load(folder)
    z = teacher.encode(torch.from_numpy(image).permute(0, 3, 1, 2).float() / 127.5 - 1)
    assert np.array_equal(encoded["latents"][0], z[0].permute(1, 2, 0).numpy().astype(np.float16))
    assert encoded["text"].shape == (2, teacher.shape.text_width)
    assert np.isnan(encoded["latents"][1]).all()


def test_every_method_runs(folder: Path) -> None:
    torch.manual_seed(0)
    teacher = Teacher.load(folder)
    width = teacher.shape.text_width
    crf = LatentCRF(LatentCRFConfig(height=4, width=4, text_width=width, hidden=4, filters=4)).eval()
    methods = list_methods("31@981..201", teacher.noise_schedule)
    given, schedules = teacher.condition(list(CAPTIONS), 7.5), [method.schedule for method in methods]
    with torch.no_grad():
        ends = list(run_schedules(teacher, schedules, sample_noise([5, 6], (8, 4, 4)), given, crf))
    assert len(ends) == len(methods)
    assert all(latents.isfinite().all() for latents in ends)
