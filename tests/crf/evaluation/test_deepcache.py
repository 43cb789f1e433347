import pytest
import torch

from crf.evaluation.deepcache import CachedUNet, with_cached_features
from crf.sampling.sampler import finish, lead
from crf.schedule import Schedule
from crf.teacher.teacher import Teacher
from tests.support.teachers import TINY

U_NETS = ["sd", "sd_v", "sdxl"]


@pytest.mark.parametrize("family", U_NETS)
def test_a_shallow_call_on_the_same_input_is_a_whole_one(family: str) -> None:
    teacher = with_cached_features(Teacher(TINY[family]()), interval=2)
    given, z = teacher.condition(["a cat"], 7.5), torch.randn(1, 8, 4, 4)
    with torch.no_grad():
        whole, shallow = (teacher.guided_output(z, 301, given) for _ in range(2))
    assert torch.equal(whole, shallow)


@pytest.mark.parametrize("family", U_NETS)
def test_an_interval_of_one_is_the_teacher(family: str) -> None:
    teacher = Teacher(TINY[family]())
    given, z, schedule = teacher.condition(["a cat"], 7.5), torch.randn(1, 8, 4, 4), Schedule.parse("6/6")
    results = [
        finish(each, schedule, lead(each, schedule, z, given), given)
        for each in (teacher, with_cached_features(teacher, 1), with_cached_features(teacher, 2))
    ]
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])
    assert not isinstance(teacher.family.network, CachedUNet)
