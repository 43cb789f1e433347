"""A teacher in a shorter dtype: its weights are short, and everything around them is float32."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from crf.device import Precision
from crf.noise import sample_noise
from crf.stages.encode import EncodeImages
from crf.stages.teach import TeachTrajectories
from crf.teacher import teacher as teacher_module
from crf.teacher.teacher import Teacher
from tests.support.teachers import TINY, save_pipeline

CAPTIONS = np.array(["a cat", "two red boats"])
BATCH: dict[str, Any] = {"caption": CAPTIONS, "seed": np.array([5, 6], np.uint64), "valid": np.ones(2, bool)}


@pytest.mark.parametrize("family", ["sd", "sdxl", "sd3"])
@pytest.mark.parametrize(("dtype", "far"), [("bfloat16", 0.1), ("float16", 0.02)])
def test_it_ends_near_its_float32_self(family: str, dtype: Precision, far: float, tmp_path: Path) -> None:
    folder = str(save_pipeline(TINY[family](), tmp_path))
    exact = TeachTrajectories(folder, "cpu", 1, 7.5, 32)(BATCH)["step_50"].astype(np.float32)
    short = TeachTrajectories(folder, "cpu", 1, 7.5, 32, dtype=dtype)(BATCH)["step_50"].astype(np.float32)
    assert 0 < np.abs(short - exact).mean() < far * np.abs(exact).mean()


@pytest.mark.parametrize("family", ["sd", "sdxl", "sd3"])
def test_the_network_alone_computes_in_its_dtype(family: str, tmp_path: Path) -> None:
    teacher = Teacher.load(save_pipeline(TINY[family](), tmp_path), dtype=torch.bfloat16)
    seen = []
    teacher.family.network.register_forward_hook(lambda _module, _inputs, outputs: seen.append(outputs[0].dtype))
    z_BCHW = sample_noise([5, 6], (8, 4, 4))
    output_BCHW = teacher.guided_output(z_BCHW, 501, teacher.condition(list(CAPTIONS), 7.5))
    assert (output_BCHW.dtype, seen) == (torch.float32, [torch.bfloat16])
    assert teacher.vae.dtype == (torch.float32 if family == "sdxl" else torch.bfloat16)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_encode_in_a_shorter_dtype_is_near_and_marks_invalid_rows(tiny_teacher: Path, dtype: Precision) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    batch = {"image": pixels, "caption": CAPTIONS, "valid": np.array([True, False])}
    exact, short = (EncodeImages(str(tiny_teacher), "cpu", 1, dtype=each)(batch) for each in ("float32", dtype))
    for name in ("latents", "text"):
        assert short[name].dtype == np.float16
        assert np.isnan(short[name][1]).all()
        np.testing.assert_allclose(short[name][0], exact[name][0], rtol=0.1, atol=0.1)


def test_large_images_go_through_the_vae_in_parts(tiny_teacher: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And give what they give together, up to the last bits."""
    teacher = Teacher.load(tiny_teacher)
    x_BCHW = torch.rand(5, 3, 32, 32) * 2 - 1
    together = teacher.encode(x_BCHW)
    pixels = teacher.decode(together)
    rows: list[int] = []
    for part in (teacher.vae.encoder, teacher.vae.decoder):
        part.register_forward_pre_hook(lambda _module, inputs: rows.append(len(inputs[0])))
    monkeypatch.setattr(teacher_module, "PIXELS_AT_ONCE", 2 * 32 * 32)
    torch.testing.assert_close(teacher.encode(x_BCHW), together)
    torch.testing.assert_close(teacher.decode(together), pixels)
    assert rows == [2, 2, 1, 2, 2, 1]


def test_tiles_cover_an_image(tiny_teacher: Path) -> None:
    batch = {"image": np.full((1, 32, 32, 3), 90, np.uint8), "caption": CAPTIONS[:1], "valid": np.ones(1, bool)}
    tiled = EncodeImages(str(tiny_teacher), "cpu", 1, vae_tiling=True)
    assert tiled.teacher.vae.use_tiling
    assert np.isfinite(tiled(batch)["latents"]).all()


def test_float32_is_not_tf32(tiny_teacher: Path) -> None:
    EncodeImages(str(tiny_teacher), "cpu", 1)
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32


@pytest.mark.slow
def test_compiled_it_ends_where_it_did(tiny_teacher: Path) -> None:
    plain = TeachTrajectories(str(tiny_teacher), "cpu", 1, 7.5, 32, micro_batch=2)(BATCH)
    compiled = TeachTrajectories(str(tiny_teacher), "cpu", 1, 7.5, 32, micro_batch=2, compiled=True)(BATCH)
    np.testing.assert_allclose(compiled["step_50"], plain["step_50"], rtol=1e-2, atol=1e-2)
