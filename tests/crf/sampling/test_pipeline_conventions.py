"""LatentCRFPipeline as users know diffusers' pipelines: dtypes, offloading, saving and loading, replaced parts."""

from pathlib import Path

import numpy as np
import pytest
import torch

from crf.sampling.family_pipelines import LatentCRFPipeline
from crf.schedule import Schedule
from tests.support.pipelines import FAMILIES, quiet, seeded, tiny_crf, with_crf
from tests.support.teachers import TINY, save_pipeline


@FAMILIES
def test_to_moves_the_teacher_and_the_crf(family: str) -> None:
    pipeline = with_crf(family).to(torch.bfloat16)
    assert pipeline.dtype == pipeline.crf.dtype == pipeline.teacher.dtype == torch.bfloat16
    assert pipeline.device == torch.device("cpu")
    made = pipeline("a cat", generator=seeded(), output_type="latent").images
    assert made.dtype == torch.bfloat16
    assert np.isfinite(pipeline("a cat", generator=seeded(), output_type="np").images).all()


def test_the_crf_follows_the_teachers_dtype() -> None:
    teacher = TINY["sd"]().to(torch.bfloat16)
    crf = tiny_crf(LatentCRFPipeline.from_teacher(teacher))
    assert LatentCRFPipeline.from_teacher(teacher, crf).crf.dtype == torch.bfloat16


@FAMILIES
def test_the_teacher_is_left_as_it_was(family: str, tmp_path: Path) -> None:
    teacher = TINY[family]()
    parts = [part for part in teacher.components.values() if isinstance(part, torch.nn.Module)]
    weights = [value.clone() for part in parts for value in part.state_dict().values()]
    scheduler, settings, kind = teacher.scheduler, dict(teacher.scheduler.config), type(teacher.scheduler)
    steps = teacher.scheduler.timesteps.clone()

    pipeline = quiet(LatentCRFPipeline.from_teacher(teacher, tiny_crf(LatentCRFPipeline.from_teacher(teacher))))
    made = pipeline("a cat", generator=seeded(), output_type="latent").images

    assert teacher.scheduler is scheduler
    assert type(teacher.scheduler) is kind
    assert dict(teacher.scheduler.config) == settings
    assert torch.equal(teacher.scheduler.timesteps, steps)
    after = [value for part in parts for value in part.state_dict().values()]
    assert all(map(torch.equal, weights, after))
    assert "crf" not in teacher.components

    save_pipeline(teacher, tmp_path / "teacher")
    pipeline.crf.save_pretrained(tmp_path / "crf")
    before = {file: file.read_bytes() for file in (tmp_path / "teacher").rglob("*") if file.is_file()}
    loaded = quiet(LatentCRFPipeline.from_teacher(tmp_path / "teacher", tmp_path / "crf"))
    assert torch.equal(loaded("a cat", generator=seeded(), output_type="latent").images, made)
    assert {file: file.read_bytes() for file in (tmp_path / "teacher").rglob("*") if file.is_file()} == before


@FAMILIES
def test_a_saved_pipeline_loads_with_its_crf(family: str, tmp_path: Path) -> None:
    pipeline = with_crf(family, schedule=Schedule.parse("3/4 + crf + 1/5 (fresh)"))
    pipeline.save_pretrained(tmp_path)
    loaded = quiet(type(pipeline).from_pretrained(tmp_path))
    made, again = (each("a cat", generator=seeded(), output_type="latent").images for each in (pipeline, loaded))
    assert loaded.schedule == pipeline.schedule
    assert torch.equal(made, again)


def test_modules_may_be_replaced() -> None:
    """``pipeline.unet = torch.compile(pipeline.unet)`` is what the next call runs."""
    pipeline = with_crf("sd")
    calls: list[float] = []
    replaced = TINY["sd"]().unet
    replaced.register_forward_pre_hook(lambda _module, inputs: calls.append(inputs[1]))
    pipeline.unet = replaced
    pipeline("a cat", generator=seeded(), output_type="latent")
    assert calls == [751, 501, 251, 201, 1]


@FAMILIES
def test_offloading_takes_the_crf_after_the_network_and_before_the_vae(family: str) -> None:
    pipeline = with_crf(family)
    order = pipeline.model_cpu_offload_seq.split("->")
    modules = {name for name, part in pipeline.components.items() if isinstance(part, torch.nn.Module)}
    assert modules <= set(order)
    assert order[-3:] == ["transformer" if "transformer" in modules else "unet", "crf", "vae"]
    assert "crf" in pipeline._exclude_from_cpu_offload  # of sequential offloading


@FAMILIES
def test_an_offloaded_pipeline_makes_the_same(family: str) -> None:
    """diffusers' own hooks, with the CPU as the device that they bring the weights to."""
    pipeline = with_crf(family)
    made = pipeline("a cat", generator=seeded(), output_type="latent").images
    pipeline.enable_model_cpu_offload(device="cpu")
    assert torch.equal(pipeline("a cat", generator=seeded(), output_type="latent").images, made)
    assert torch.equal(pipeline("a cat", generator=seeded(), output_type="latent").images, made)


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a GPU to offload from")
@pytest.mark.parametrize("how", ["enable_model_cpu_offload", "enable_sequential_cpu_offload"])
def test_offloading_without_an_accelerator_is_rejected(how: str) -> None:
    with pytest.raises(RuntimeError, match="requires accelerator"):
        getattr(with_crf("sd"), how)()


@FAMILIES
def test_half_precision_there_and_back(family: str) -> None:
    pipeline = with_crf(family)
    weights = [parameter.half() for parameter in pipeline.crf.parameters()]
    pipeline.to(torch.float16)
    assert pipeline.crf.dtype == pipeline.teacher.dtype == torch.float16
    made = pipeline("a cat", generator=seeded(), output_type="latent").images
    assert made.dtype == torch.float16
    assert made.isfinite().all()
    pipeline.to(torch.float32)
    assert all(map(torch.equal, (parameter.half() for parameter in pipeline.crf.parameters()), weights))
    assert pipeline("a cat", generator=seeded(), output_type="latent").images.dtype == torch.float32


def test_a_variant_is_saved_and_loaded_with_its_crf(tmp_path: Path) -> None:
    pipeline = with_crf("sd").to(torch.float16)
    pipeline.save_pretrained(tmp_path, variant="fp16")
    assert (tmp_path / "crf/diffusion_pytorch_model.fp16.safetensors").is_file()
    loaded = quiet(type(pipeline).from_pretrained(tmp_path, variant="fp16", dtype=torch.float16))
    made, again = (each("a cat", generator=seeded(), output_type="latent").images for each in (pipeline, loaded))
    assert torch.equal(made, again)
