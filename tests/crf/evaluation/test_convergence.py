"""The CRF's convergence is that of its own updates, at the state that the lead reaches."""

from pathlib import Path

import torch

from crf.evaluation.convergence import measure_convergence
from crf.model.config import LatentCRFConfig
from crf.model.latent_crf import LatentCRF
from crf.model.observation import Observation
from crf.sampling.sampler import run_lead
from crf.schedule import Schedule
from crf.teacher.teacher import Teacher

SCHEDULE = Schedule.parse("3/5 + crf")


def test_changes_are_those_of_single_updates(tiny_teacher: Path) -> None:
    teacher = Teacher.load(tiny_teacher)
    torch.manual_seed(0)
    config = LatentCRFConfig(height=4, width=4, channels=8, text_width=16, hidden=8, filters=8)
    crf, noise_BCHW = LatentCRF(config).eval(), torch.randn(2, 8, 4, 4)
    changes_BK = measure_convergence(teacher, crf, SCHEDULE, ["a cat", "a dog"], noise_BCHW, 3.0, iterations=4)
    assert changes_BK.shape == (2, 4)
    assert (changes_BK > 0).all()
    with torch.no_grad():
        given = teacher.condition(["a cat", "a dog"], 3.0)
        reached = run_lead(teacher, SCHEDULE.first, noise_BCHW, given)
        observed = Observation(reached.state, reached.x0).select(crf.settings)
        x_BCHW, prepared = crf.unary(observed), crf.pairwise.similarity.prepare()
        for iteration in range(4):
            after_BCHW = crf.update(x_BCHW, observed, given.pooled_BD, prepared, iteration)
            torch.testing.assert_close(changes_BK[:, iteration], (after_BCHW - x_BCHW).abs().mean((1, 2, 3)))
            x_BCHW = after_BCHW
