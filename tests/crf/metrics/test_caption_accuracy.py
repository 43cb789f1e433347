from pathlib import Path

import numpy as np
import pytest
import torch

from crf.metrics.caption_accuracy import compute_caption_errors, find_recognised
from crf.noise import sample_noise
from crf.sampling.trajectory import follow
from crf.teacher.teacher import Teacher
from tests.support.teachers import TINY

DEMO_TEACHER = Path(__file__).parents[3] / "deploy/demo/teacher"
CAPTIONS = ["a cat", "red", "two dogs on a hill"]
SEEDS = [3, 1, 4, 1]


@pytest.mark.parametrize("family", ["sd", "sdxl", "sd3"])
def test_errors_depend_on_the_sample_its_seed_and_the_caption_alone(family: str) -> None:
    teacher = Teacher(TINY[family]())
    latents = torch.randn(4, 8, 4, 4, generator=torch.Generator().manual_seed(0))
    errors = compute_caption_errors(teacher, latents, CAPTIONS, SEEDS)
    assert errors.shape == (4, 3)
    alone = [compute_caption_errors(teacher, latents[n : n + 1], CAPTIONS, SEEDS[n : n + 1]) for n in range(4)]
    np.testing.assert_allclose(np.concatenate(alone), errors, rtol=1e-5)
    np.testing.assert_allclose(
        compute_caption_errors(teacher, latents, CAPTIONS[1:2], SEEDS), errors[:, 1:2], rtol=1e-5
    )
    assert not np.allclose(compute_caption_errors(teacher, latents, CAPTIONS, SEEDS[::-1])[0], errors[0])


def test_the_demo_teacher_recognises_what_it_drew() -> None:
    """Ten steps per image; noise for an image, and images of other captions, are not recognised."""
    teacher = Teacher.load(DEMO_TEACHER)
    captions, seeds, own = ["a red apple", "a house", "a fish", "a yellow sun"], [0, 1, 2, 3], np.arange(4)
    noise = sample_noise(seeds, teacher.latent_shape(teacher.default_size))
    path = teacher.noise_schedule.path(10)
    latents = follow(teacher, noise, path, teacher.condition(captions, guidance_scale=4)).state
    errors = compute_caption_errors(teacher, latents, captions, seeds)
    assert find_recognised(errors, own).tolist() == [True] * 4
    assert not find_recognised(errors, own[::-1]).any()


def test_equal_captions_tie() -> None:
    errors = np.array([[1.0, 1, 2], [3, 2, 2], [1, 2, 3]])
    assert find_recognised(errors, np.array([1, 2, 1])).tolist() == [True, True, False]
