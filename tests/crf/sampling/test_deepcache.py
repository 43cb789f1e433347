import pytest
import torch

from crf.errors import TeacherError
from crf.sampling.deepcache import CachedUNet, cache_features
from crf.sampling.sampler import run_lead, run_tail
from crf.schedule import Schedule
from crf.teacher.teacher import Teacher
from tests.support.teachers import TINY

U_NETS = ["sd", "sd_v", "sdxl"]


def sample(teacher: Teacher, text: str, noise: torch.Tensor) -> torch.Tensor:
    given, schedule = teacher.condition(["a cat"] * len(noise), 7.5), Schedule.parse(text)
    return run_tail(teacher, schedule, run_lead(teacher, schedule, noise, given), given)


@pytest.mark.parametrize("family", U_NETS)
def test_a_shallow_step_on_the_same_input_is_a_whole_one(family: str) -> None:
    """But for the time, which must fall for the features to be reused."""
    teacher = cache_features(Teacher(TINY[family]()), interval=2)
    given, z = teacher.condition(["a cat"], 7.5), torch.randn(1, 8, 4, 4)
    with torch.no_grad():
        whole, shallow = (teacher.guided_output(z, timestep, given) for timestep in (301.0, 300.999))
    assert not torch.equal(whole, shallow)
    torch.testing.assert_close(whole, shallow, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("family", U_NETS)
def test_an_interval_of_one_is_the_teacher(family: str) -> None:
    teacher, noise = Teacher(TINY[family]()), torch.randn(1, 8, 4, 4)
    results = [sample(each, "6/6", noise) for each in (teacher, cache_features(teacher, 1), cache_features(teacher, 2))]
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])
    assert not isinstance(teacher.family.network, CachedUNet)


@pytest.mark.parametrize("text", ["5/5", "1/5", "2/5 + 2@301,21"])
def test_a_trajectory_does_not_start_on_the_features_of_the_one_before(text: str) -> None:
    teacher = cache_features(Teacher(TINY["sd"]()), interval=3)
    batches = torch.randn(2, 2, 8, 4, 4).unbind()
    one_after_the_other = [sample(teacher, text, noise) for noise in batches]
    alone = [sample(cache_features(Teacher(TINY["sd"]()), interval=3), text, noise) for noise in batches]
    assert all(map(torch.equal, one_after_the_other, alone))


def test_extrapolated_features_follow_a_straight_line() -> None:
    cached = CachedUNet(TINY["sd"]().unet, interval=2, extrapolated=True)
    cached.deep = [(501.0, torch.zeros(1)), (401.0, torch.ones(1))]
    assert cached._recall(301.0) == 2


@pytest.mark.parametrize("family", U_NETS)
def test_a_schedule_can_cache_and_limit_guidance(family: str) -> None:
    teacher, noise = Teacher(TINY[family]()), torch.randn(1, 8, 4, 4)
    texts = ["9/9", "9/9 (deepcache 3)", "9/9 (deepcache 3, extrapolated)", "9/9 (deepcache 3), guided 800 to 401"]
    results = [sample(teacher, text, noise) for text in texts]
    assert all(torch.isfinite(z).all() for z in results)
    assert not any(torch.equal(results[0], z) for z in results[1:])
    assert not torch.equal(results[1], results[2])
    alone = sample(cache_features(teacher, 3), "9/9", noise)
    assert torch.equal(results[1], alone)


def test_a_transformer_has_no_deep_features_to_cache() -> None:
    teacher = Teacher(TINY["sd3"]())
    with pytest.raises(TeacherError, match="expected a teacher with a U-Net for DeepCache"):
        sample(teacher, "4/4 (deepcache 2)", torch.randn(1, *teacher.latent_shape(teacher.default_size)))
