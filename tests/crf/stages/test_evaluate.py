"""What the evaluation computes per sample, and that it does not depend on the batch."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from crf.evaluation.methods import Method
from crf.schedule import Schedule
from crf.stages.arrays import name_values
from crf.stages.evaluate import CompareMethods
from crf.teacher.teacher import Teacher
from tests.support.feature_networks import save_clip

METHODS = (
    Method("full_50", "full 50", Schedule.parse("50/50"), "reference"),
    Method("converged", "converged", Schedule.parse("20@981.."), "floor"),
    Method("few", "few", Schedule.parse("4/4"), "sampler"),
    Method("same", "same", Schedule.parse("50/50"), "sampler"),
)
MICRO_BATCH = 4
COUNT = MICRO_BATCH + 2
BATCH = {
    "caption": np.array([f"thing {place}" for place in range(COUNT)], dtype=object),
    "seed": np.arange(COUNT, dtype=np.uint64),
}


def make(teacher: Path, methods: tuple[Method, ...], **more: Any) -> CompareMethods:
    return CompareMethods(str(teacher), "cpu", 1, 7.5, 32, methods, micro_batch=MICRO_BATCH, **more)


@pytest.fixture(scope="module")
def compare(tiny_teacher: Path) -> CompareMethods:
    return make(tiny_teacher, METHODS)


@pytest.fixture(scope="module")
def compared(compare: CompareMethods) -> dict[str, Any]:
    return compare(BATCH)


def test_errors_are_those_of_the_latents_and_images(compared: dict[str, Any], tiny_teacher: Path) -> None:
    assert {name for name in compared if compared[name].dtype == np.float32 and compared[name].ndim == 1} == {
        *name_values([method.key for method in METHODS])
    }
    latents = {method.key: compared[f"latents_{method.key}"].astype(np.float32) for method in METHODS}
    for reference, error in (("full_50", "latent_mse"), ("converged", "converged_mse")):
        expected = np.square(latents["few"] - latents[reference]).mean((1, 2, 3))
        assert compared[f"{error}_few"] == pytest.approx(expected, rel=1e-2)
    teacher = Teacher.load(tiny_teacher)
    full, few = (teacher.decode(torch.from_numpy(latents[key]).permute(0, 3, 1, 2)) for key in ("full_50", "few"))
    psnr = 10 * torch.log10(4 / (full - few).square().mean((1, 2, 3)))
    assert compared["psnr_few"] == pytest.approx(psnr.numpy(), abs=0.1)
    features = compared["features_few"] - compared["features_full_50"]
    assert compared["feature_distance_few"] == pytest.approx(np.square(features).sum(1), rel=1e-4)


def test_equal_images_have_no_error_and_a_bounded_psnr(compared: dict[str, Any]) -> None:
    assert set(compared["latent_mse_same"]) == {0}
    assert set(compared["psnr_same"]) == {100}


def test_a_reference_has_no_error_to_itself() -> None:
    assert name_values(["full_50", "few"]) == ["latent_mse_few", "psnr_few", "feature_distance_few"]
    assert "latent_mse_full_50" not in name_values(["full_50", "converged"])
    assert "converged_mse_full_50" in name_values(["full_50", "converged"])


def test_a_sample_is_the_same_in_every_batch(compare: CompareMethods, compared: dict[str, Any]) -> None:
    for rows in (slice(0, 3), slice(3, COUNT)):
        part = compare({name: values[rows] for name, values in BATCH.items()})
        for name in compared:
            assert part[name].tobytes() == compared[name][rows].tobytes(), name


def test_the_teacher_tells_the_captions_of_its_test_alone(tiny_teacher: Path) -> None:
    """Every caption of a test of one wins; of two equal ones, both do."""
    few = (METHODS[0], METHODS[2])
    tested = make(tiny_teacher, few, caption_test=("thing 1",))
    batch = {name: values[:3] for name, values in BATCH.items()}
    recognised = tested(batch)["recognised_few"]
    assert np.isnan(recognised[[0, 2]]).all()
    assert recognised[1] == 1
    both = make(tiny_teacher, few, caption_test=("thing 1", "thing 2"))
    recognised = both(batch)["recognised_few"]
    assert np.isnan(recognised[0])
    assert set(recognised[1:]) <= {0, 1}
    assert recognised.dtype == np.float32


def test_a_network_with_a_text_encoder_gives_a_clip_score(tiny_teacher: Path, tmp_path: Path) -> None:
    """It depends on the caption and the images, and so does ST-LPIPS on the images alone."""
    clip = str(save_clip(tmp_path))
    few = (METHODS[0], METHODS[2], METHODS[3])
    compare = make(tiny_teacher, few, features_path=clip, st_lpips=True)
    compared = compare({name: values[:3] for name, values in BATCH.items()})
    assert compared["features_few"].shape == (3, 6)
    values = [name for name, value in compared.items() if value.dtype == np.float32 and value.ndim == 1]
    assert set(values) == {*name_values([method.key for method in few], st_lpips=True, clip_score=True)}
    assert ((compared["clip_score_full_50"] >= 0) & (compared["clip_score_full_50"] <= 100)).all()
    assert compared["clip_score_same"].tobytes() == compared["clip_score_full_50"].tobytes()
    assert set(compared["st_lpips_same"]) == {0}
    assert (compared["st_lpips_few"] > 0).all()
