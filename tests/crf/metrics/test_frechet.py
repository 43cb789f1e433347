import numpy as np
import pytest
import torch
from torchmetrics.image.fid import FrechetInceptionDistance

from crf.errors import InputError
from crf.metrics.frechet import compute_frechet_distance
from crf.metrics.moments import Array, Moments
from tests.support.feature_sets import SETS, Pair


class Flatten(torch.nn.Module):
    """A feature network that returns its input."""

    num_features = 0

    def __init__(self, width: int) -> None:
        super().__init__()
        self.num_features = width

    def forward(self, features_ND: torch.Tensor) -> torch.Tensor:
        return features_ND


def compute_by_torchmetrics(a: Array, b: Array) -> float:
    metric = FrechetInceptionDistance(feature=Flatten(a.shape[1]), normalize=True).set_dtype(torch.float64)
    for features, real in ((a, True), (b, False)):
        metric.update(torch.from_numpy(features), real=real)
    return float(metric.compute())


def compute_directly(a: Array, b: Array) -> float:
    """By the singular values of the features themselves."""
    centred_a, centred_b = ((x - x.mean(0)) / np.sqrt(len(x) - 1) for x in (a, b))
    cross = np.linalg.svd(centred_a @ centred_b.T, compute_uv=False).sum()
    traces = (centred_a**2).sum() + (centred_b**2).sum()
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + traces - 2 * cross)


@pytest.mark.parametrize("sets", SETS.values(), ids=list(SETS))
def test_frechet_equals_torchmetrics(sets: Pair) -> None:
    a, b = sets
    found = compute_frechet_distance(Moments.of(a), Moments.of(b))
    assert found == pytest.approx(compute_by_torchmetrics(a, b), rel=1e-6)


@pytest.mark.parametrize("sets", SETS.values(), ids=list(SETS))
def test_frechet_of_merged_parts_equals_that_of_the_features(sets: Pair) -> None:
    a, b = sets
    merged = Moments.of(a[:1])
    for row in a[1:]:
        merged = merged.merge(Moments.of(row[None]))
    assert compute_frechet_distance(merged, Moments.of(b)) == pytest.approx(compute_directly(a, b), rel=1e-9)


@pytest.mark.parametrize("count", [50, 6])
def test_frechet_of_a_set_with_itself_and_with_a_shift(count: int) -> None:
    a = np.random.default_rng(0).standard_normal((count, 8))
    assert compute_frechet_distance(Moments.of(a), Moments.of(a)) == pytest.approx(0, abs=1e-9)
    assert compute_frechet_distance(Moments.of(a), Moments.of(a + 2)) == pytest.approx(4 * 8)


def test_frechet_of_gaussians_is_the_closed_form() -> None:
    """Independent features: sum (mean_a - mean_b)^2 + (sd_a - sd_b)^2."""
    mean_a, mean_b, sd_a, sd_b = np.array([[1.0, 2, 3], [0, 5, 3], [1, 4, 0.1], [2, 2, 5]])
    # Count 2, so that the factor of the covariance is that of the scatter.
    a, b = Moments(2, mean_a, np.diag(sd_a)), Moments(2, mean_b, np.diag(sd_b))
    expected = ((mean_a - mean_b) ** 2).sum() + ((sd_a - sd_b) ** 2).sum()
    assert compute_frechet_distance(a, b) == pytest.approx(expected, rel=1e-12)


def test_frechet_of_one_sample_is_an_error() -> None:
    with pytest.raises(InputError, match="at least 2 samples, found 1"):
        compute_frechet_distance(Moments.of(np.ones((1, 3))), Moments.of(np.ones((5, 3))))
