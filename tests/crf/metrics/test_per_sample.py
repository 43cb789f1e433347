import numpy as np
import pytest
import torch
from torchmetrics.functional.image import peak_signal_noise_ratio

from crf.metrics.frechet import compute_frechet_distance
from crf.metrics.moments import Moments
from crf.metrics.per_sample import compute_clip_scores, compute_feature_distances, compute_psnr

RANDOM = np.random.default_rng(0)


def test_feature_distances_bound_the_frechet_distance() -> None:
    a = RANDOM.standard_normal((20, 40), dtype=np.float32)
    b = a + 0.1 * RANDOM.standard_normal((20, 40), dtype=np.float32)
    distances = compute_feature_distances(a, b)
    assert distances.tolist() == pytest.approx([np.linalg.norm(x - y) ** 2 for x, y in zip(a, b, strict=True)])
    assert compute_frechet_distance(Moments.of(a), Moments.of(b)) <= 20 / 19 * distances.mean()


def test_clip_scores_are_cosines_and_never_negative() -> None:
    images = np.array([[3.0, 0], [1, 1], [1, 0], [0, -2]])
    texts = np.array([[5.0, 0], [0, 2], [0, 1], [0, 1]])
    assert compute_clip_scores(images, texts).tolist() == pytest.approx([100, 100 / np.sqrt(2), 0, 0])


def test_psnr_equals_torchmetrics() -> None:
    a, b = torch.rand(2, 3, 3, 8, 8, generator=torch.Generator().manual_seed(0)).double() * 2 - 1
    expected = [float(peak_signal_noise_ratio(x, y, data_range=2.0)) for x, y in zip(a, b, strict=True)]
    assert compute_psnr(a, b).tolist() == pytest.approx(expected)
    assert compute_psnr(a, a).tolist() == [np.inf] * 3
