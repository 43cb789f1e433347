from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler

from crf.errors import ScheduleError, TeacherError
from crf.sampling.family_pipelines import LatentCRFPipeline
from crf.schedule import PAPER, Schedule
from tests.support.pipelines import FAMILIES, SHORT, quiet, seeded, tiny_crf, with_crf
from tests.support.teachers import TINY

PROMPTS = ["a cat", "two red boats"]


def both(family: str, prompt: str | list[str], make: Callable[[], dict[str, Any]]) -> list[Any]:
    """The same call to the stock pipeline and to ours: the images of each."""
    stock = quiet(TINY[family]())
    arguments = {"guidance_scale": 7.5, "output_type": "latent"}
    theirs = stock(prompt, num_inference_steps=50, **{**arguments, **make()}).images
    ours = quiet(LatentCRFPipeline.from_teacher(stock))(prompt, **{**arguments, **make()}).images
    return [theirs, ours]


@FAMILIES
@pytest.mark.parametrize(
    "make",
    [
        lambda: {"generator": seeded()},
        lambda: {"generator": [seeded(1), seeded(2)], "negative_prompt": ["blurry", "a dog"]},
        lambda: {"generator": seeded(), "num_images_per_prompt": 2, "negative_prompt": ["", ""]},
        lambda: {"generator": seeded(), "guidance_scale": 1.0},
        lambda: {"generator": seeded(), "height": 48, "width": 32},
    ],
    ids=["seeded", "negative", "two images each", "no guidance", "tall"],
)
def test_all_50_steps_are_bit_equal_to_the_stock_pipeline(family: str, make: Callable[[], dict[str, Any]]) -> None:
    theirs, ours = both(family, PROMPTS, make)
    assert theirs.isfinite().all()
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize("family", ["sd", "sd_v", "sdxl"])
def test_trailing_spacing_is_bit_equal_to_the_stock_pipeline_with_it(family: str) -> None:
    stock = quiet(TINY[family]())
    ours = quiet(LatentCRFPipeline.from_teacher(stock, schedule=Schedule.parse("50/50 (trailing)")))
    made = ours(PROMPTS, generator=seeded(), output_type="latent").images
    arguments = {"generator": seeded(), "guidance_scale": 7.5, "output_type": "latent"}
    leading = stock(PROMPTS, num_inference_steps=50, **arguments).images
    stock.scheduler = DDIMScheduler.from_config(stock.scheduler.config, timestep_spacing="trailing")
    trailing = stock(PROMPTS, num_inference_steps=50, **{**arguments, "generator": seeded()}).images
    assert torch.equal(made, trailing)
    assert not torch.equal(made, leading)


@pytest.mark.parametrize("family", ["sd", "sdxl", "sd3"])
def test_one_prompt_and_its_pixels_are_those_of_the_stock_pipeline(family: str) -> None:
    arguments = {"negative_prompt": "blurry", "output_type": "np"}
    theirs, ours = both(family, "a cat", lambda: {"generator": seeded(), **arguments})
    assert np.array_equal(ours, theirs)


def test_one_negative_prompt_is_for_all_prompts() -> None:
    pipeline = quiet(LatentCRFPipeline.from_teacher(TINY["sd"](), schedule=Schedule.parse("2/2")))
    one, many = (
        pipeline(PROMPTS, negative_prompt=negative, generator=seeded(), output_type="latent").images
        for negative in ("blurry", ["blurry", "blurry"])
    )
    assert torch.equal(one, many)


def test_a_crf_runs_by_default_as_it_was_distilled() -> None:
    teacher = TINY["sd"]()
    crf = tiny_crf(LatentCRFPipeline.from_teacher(teacher))
    crf.record_place("3@981..201", 101)
    assert str(LatentCRFPipeline.from_teacher(teacher, crf).schedule) == "3@981..201 + crf + 2@101,21 (recomputed)"
    crf.record_place("3@981..201", None)
    assert str(LatentCRFPipeline.from_teacher(teacher, crf).schedule) == "3@981..201 + crf + 2/50"


@FAMILIES
def test_the_papers_schedule_runs_with_every_teacher(family: str) -> None:
    pipeline = with_crf(family, schedule=None)
    assert str(pipeline.schedule) == PAPER
    made = pipeline(PROMPTS, generator=seeded(), output_type="latent").images
    assert made.shape == (2, 8, 4, 4)
    assert made.isfinite().all()


def test_the_crf_is_given_state_text_and_x0() -> None:
    pipeline = with_crf("sdxl", Schedule.parse("3/4 + crf"))
    given: list[Any] = []
    pipeline.crf.register_forward_pre_hook(lambda _, inputs: given.extend(inputs))
    pipeline("a cat", generator=seeded(), output_type="latent")
    state, pooled, x0 = given
    for text, expected in (("3/4", state), ("3/4 + x0", x0)):
        pipeline.schedule = Schedule.parse(text)
        assert torch.equal(pipeline("a cat", generator=seeded(), output_type="latent").images, expected)
    assert torch.equal(pooled, pipeline.teacher.pooled_text(["a cat"]))


@FAMILIES
def test_a_batch_is_its_images_one_by_one(family: str) -> None:
    pipeline = with_crf(family)
    together = pipeline(PROMPTS, generator=[seeded(1), seeded(2)], output_type="latent").images
    alone = [
        pipeline(prompt, generator=seeded(seed), output_type="latent").images
        for seed, prompt in enumerate(PROMPTS, start=1)
    ]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-4, atol=1e-4)


def test_images_of_a_prompt_stand_side_by_side() -> None:
    pipeline = with_crf("sd")
    noise = torch.randn((4, 8, 4, 4), generator=seeded())
    made = pipeline(PROMPTS, num_images_per_prompt=2, latents=noise, output_type="latent").images
    written_out = [prompt for prompt in PROMPTS for _ in range(2)]
    torch.testing.assert_close(made, pipeline(written_out, latents=noise, output_type="latent").images)


def test_the_callback_is_called_after_every_evaluation() -> None:
    pipeline = with_crf("sd")
    seen: list[tuple[int, float]] = []

    def look(pipe: Any, step: int, timestep: float, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        assert pipe is pipeline
        assert pipe.num_timesteps == 5
        assert tensors["latents"].shape == (1, 8, 4, 4)
        seen.append((step, timestep))
        return {}

    watched = pipeline("a cat", generator=seeded(), output_type="latent", callback_on_step_end=look).images
    assert seen == [(0, 751), (1, 501), (2, 251), (3, 201), (4, 1)]
    assert torch.equal(watched, pipeline("a cat", generator=seeded(), output_type="latent").images)


@pytest.mark.parametrize("family", ["sd", "sd3"])
def test_what_the_callback_changes_is_gone_on_with_as_in_the_stock_pipeline(family: str) -> None:
    def shift(_pipe: Any, step: int, _t: Any, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {"latents": tensors["latents"] + 0.1 * step}

    theirs, ours = both(family, "a cat", lambda: {"generator": seeded(), "callback_on_step_end": shift})
    assert torch.equal(ours, theirs)


def test_the_progress_bar_counts_evaluations(capsys: pytest.CaptureFixture[str]) -> None:
    pipeline = with_crf("sd")
    pipeline("a cat")
    assert capsys.readouterr().err == ""
    pipeline.set_progress_bar_config()
    pipeline("a cat")
    assert "5/5" in capsys.readouterr().err


def test_output_types() -> None:
    pipeline = with_crf("sd")
    made = {kind: pipeline("a cat", generator=seeded(), output_type=kind).images for kind in ("pil", "np", "pt")}
    assert [image.size for image in made["pil"]] == [(32, 32)]
    assert made["np"].shape == (1, 32, 32, 3)
    assert made["pt"].shape == (1, 3, 32, 32)
    assert np.array_equal(np.asarray(made["pil"][0]), (made["np"][0] * 255).round().astype("uint8"))
    assert np.array_equal(made["pt"].permute(0, 2, 3, 1).numpy(), made["np"])
    (images,) = pipeline("a cat", generator=seeded(), output_type="np", return_dict=False)
    assert np.array_equal(images, made["np"])


def test_what_does_not_fit_is_rejected(tmp_path: Path) -> None:
    pipeline = with_crf("sd")
    with pytest.raises(ValueError, match=r"made for, found \(8, 6, 4\)"):
        pipeline("a cat", height=48)
    with pytest.raises(ValueError, match="8 divides, found 33; ask for 40"):
        pipeline("a cat", width=33)
    with pytest.raises(ValueError, match=r"expected latents of shape \(1, 8, 4, 4\)"):
        pipeline("a cat", latents=torch.zeros(2, 8, 4, 4))
    with pytest.raises(ValueError, match="2 generators, one per image, found 1"):
        pipeline(PROMPTS, generator=[seeded()])
    with pytest.raises(ValueError, match="prompt_embeds"):
        pipeline("a cat", callback_on_step_end_tensor_inputs=["prompt_embeds"])
    without = quiet(LatentCRFPipeline.from_teacher(TINY["sd"](), schedule=SHORT))
    without.unet.register_forward_pre_hook(lambda *_: pytest.fail("the U-Net ran"))
    with pytest.raises(ScheduleError, match=r"a CRF for the schedule .*, found none"):
        without("a cat")
    with pytest.raises(TeacherError, match="found LatentCRF"):
        LatentCRFPipeline.from_teacher(pipeline.crf)
    with pytest.raises(TeacherError, match=r"model_index\.json"):
        LatentCRFPipeline.from_teacher(tmp_path)
