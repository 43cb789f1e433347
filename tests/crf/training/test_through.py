"""A CRF is trained on where a schedule ends, through the teacher."""

import pytest
import torch

from crf.errors import ConfigError, ScheduleError
from crf.model.config import LatentCRFConfig
from crf.model.latent_crf import LatentCRF
from crf.sampling.sampler import run_schedules
from crf.schedule import Schedule
from crf.teacher.teacher import Teacher
from crf.training.through import Ends, Through, check_through
from crf.training.trainer import Trainer, TrainerConfig
from tests.support.crfs import make_inside_crf
from tests.support.teachers import TINY

CAPTIONS = ("a cat", "two red boats", "a cat", "a drawing of a house")
SCHEDULE = "2@981,701 + crf + 2@401,101 + crf"


def make_ends(solver: str = "", family: str = "sd", dtype: torch.dtype = torch.float32) -> Ends:
    teacher = Teacher(TINY[family]().to(dtype))
    generator = torch.Generator().manual_seed(3)
    noise, target = torch.randn((2, 4, 8, 4, 4), generator=generator).to(dtype)
    text = teacher.condition(list(CAPTIONS), 7.5).pooled_BD
    through = Through(teacher, check_through(SCHEDULE + solver), 7.5)
    rows = torch.arange(4)
    return Ends(
        z_BCHW=noise, target_BCHW=target, text_BD=text, x0_BCHW=None, rows_B=rows, captions=CAPTIONS, through=through
    )


@pytest.mark.parametrize(("family", "solver"), [("sd", ""), ("sd", " (dpm++)"), ("sdxl", " (unipc)"), ("sd3", "")])
def test_the_end_is_that_of_inference(family: str, solver: str) -> None:
    batch, crf = make_ends(solver, family), make_inside_crf(family)
    teacher = batch.through.teacher
    with torch.no_grad():
        given = teacher.condition(list(CAPTIONS), 7.5)
        [end] = run_schedules(teacher, [Schedule.parse(SCHEDULE + solver)], batch.z_BCHW, given, crf)
        assert torch.equal(batch.infer(crf), end)


@pytest.mark.parametrize("solver", ["", " (dpm++)"])
def test_gradients_are_the_slopes_through_all_evaluations(solver: str) -> None:
    batch, crf = make_ends(solver, dtype=torch.float64), make_inside_crf().double()
    batch.compute_loss(batch.infer(crf)).backward()
    assert crf.modulation is not None
    assert all(weight.grad is None for weight in batch.through.teacher.family.network.parameters())
    for parameter in (crf.modulation.last.bias, crf.unary.coefficient_KC):
        first, slope, step = parameter.data.flatten()[0].item(), parameter.grad.flatten()[0].item(), 1e-3
        losses = []
        for moved in (first + step, first - step):
            parameter.data.view(-1)[0] = moved
            with torch.no_grad():
                losses.append(batch.compute_loss(batch.infer(crf)).item())
        parameter.data.view(-1)[0] = first
        assert slope == pytest.approx((losses[0] - losses[1]) / (2 * step), rel=1e-3)


def test_a_batch_in_parts_is_the_batch() -> None:
    batch, crf = make_ends(), make_inside_crf()
    with torch.no_grad():
        parts = batch.split(2)
        assert [part.captions for part in parts] == [CAPTIONS[:2], CAPTIONS[2:]]
        ends = torch.cat([part.infer(crf) for part in parts])
        torch.testing.assert_close(ends, batch.infer(crf), rtol=1e-4, atol=1e-4)


def test_training_starts_at_the_plain_schedule_and_comes_nearer_to_the_target() -> None:
    batch, crf = make_ends(" (dpm++)"), make_inside_crf()
    crf.reset_corrections()
    teacher = batch.through.teacher
    given = teacher.condition(list(CAPTIONS), 7.5)
    with torch.no_grad():
        [plain] = run_schedules(teacher, [Schedule.parse("4@981,701,401,101 (dpm++)")], batch.z_BCHW, given)
        assert torch.equal(batch.infer(crf), plain)
    trainer = Trainer(crf, TrainerConfig(25, 1e-2, 5, ema_decay=0.9, frozen_statistics=True))
    before = [buffer.clone() for buffer in crf.buffers()]
    losses = [trainer.step(batch)["mse"] for _ in range(25)]
    assert losses[-1] < 0.9 * losses[0]
    assert all(torch.equal(was, buffer) for was, buffer in zip(before, crf.buffers(), strict=True))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("31/40 + crf", "one lead to the end, with CRFs inside"),
        ("2@981,501", "one lead to the end, with CRFs inside"),
        ("2@981,501 + crf + 1@201 + crf (deepcache 2)", "a schedule without DeepCache to train through"),
    ],
)
def test_what_cannot_be_trained_through_is_refused(text: str, expected: str) -> None:
    with pytest.raises(ScheduleError, match=expected):
        check_through(text)


def test_a_crf_of_one_place_has_no_corrections_to_reset() -> None:
    crf = LatentCRF(LatentCRFConfig(height=4, width=4, text_width=8, hidden=4, filters=4, crf_input="x0+state"))
    with pytest.raises(ConfigError, match="told its timesteps"):
        crf.reset_corrections()
