from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DPMSolverMultistepScheduler

from crf.errors import InputError
from crf.sampling.family_pipelines import LatentCRFPipeline
from crf.schedule import Schedule
from tests.support.fronts import make_front
from tests.support.pipelines import FAMILIES, quiet, seeded
from tests.support.teachers import TINY


def draw(pipeline: LatentCRFPipeline, **more: Any) -> torch.Tensor:
    return pipeline("a cat", generator=seeded(), output_type="latent", **more).images


@FAMILIES
def test_the_number_of_steps_chooses_from_the_front(family: str, tmp_path: Path) -> None:
    teacher, front = TINY[family](), make_front()
    pipeline = quiet(LatentCRFPipeline.from_teacher(teacher, schedule=front))
    for count in (4, 3):
        alone = quiet(LatentCRFPipeline.from_teacher(teacher, schedule=front.choose(count)))
        assert torch.equal(draw(pipeline, num_inference_steps=count), draw(alone))
    assert torch.equal(draw(pipeline), draw(pipeline, num_inference_steps=3))
    with pytest.raises(InputError, match="expected one of the front's numbers"):
        draw(pipeline, num_inference_steps=17)
    pipeline.save_pretrained(tmp_path)
    loaded = quiet(type(pipeline).from_pretrained(tmp_path))
    assert torch.equal(draw(loaded, num_inference_steps=4), draw(pipeline, num_inference_steps=4))


@FAMILIES
def test_without_a_front_it_is_the_teachers_own_steps(family: str) -> None:
    pipeline = quiet(LatentCRFPipeline.from_teacher(TINY[family]()))
    own = quiet(LatentCRFPipeline.from_teacher(TINY[family](), schedule=Schedule.parse("5/5")))
    assert torch.equal(draw(pipeline, num_inference_steps=5), draw(own))


@pytest.mark.parametrize("order", [1, 2])
def test_a_stock_pipeline_runs_the_fronts_timesteps(order: int) -> None:
    """As docs/schedules.md says."""
    timesteps = [981, 901, 701, 521, 301, 101]
    solver = "" if order == 1 else " (dpm++)"
    text = f"6@{','.join(map(str, timesteps))}{solver}"
    ours = quiet(LatentCRFPipeline.from_teacher(TINY["sd"](), schedule=Schedule.parse(text)))
    stock = TINY["sd"]()
    final = "zero" if stock.scheduler.config.set_alpha_to_one else "sigma_min"
    stock.scheduler = DPMSolverMultistepScheduler.from_config(
        stock.scheduler.config, solver_order=order, final_sigmas_type=final, euler_at_final=True
    )
    stock.set_progress_bar_config(disable=True)
    drawn = stock("a cat", timesteps=timesteps, generator=seeded(), output_type="latent").images
    torch.testing.assert_close(drawn, draw(ours), rtol=1e-3, atol=1e-3)
