"""The plain network takes the CRF's place in a schedule."""

from pathlib import Path
from typing import Any

import torch

from crf.evaluation.convnet import ConvNet
from crf.sampling.sampler import run_schedules
from crf.schedule import Schedule
from crf.teacher.teacher import Teacher


@torch.no_grad()
def test_before_training_it_is_x0_wherever_a_crf_may_stand(tiny_teacher: Path) -> None:
    teacher, network = Teacher.load(tiny_teacher), ConvNet(8, 16).eval()
    given, noise_BCHW = teacher.condition(["a cat"], 7.5), torch.randn(1, 8, 4, 4)
    as_crf: Any = network
    for crf, without in (("2@981,641..401 + crf", "2@981,641..401 + x0"), ("1@981 + crf + 1@641", "2@981,641")):
        schedules = [Schedule.parse(crf), Schedule.parse(without)]
        ends = list(run_schedules(teacher, schedules, noise_BCHW, given, as_crf))
        assert torch.equal(*ends)
