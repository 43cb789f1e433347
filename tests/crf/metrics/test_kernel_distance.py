import numpy as np
import pytest
import torch
from torchmetrics.image.kid import poly_mmd

from crf.errors import InputError
from crf.metrics.kernel_distance import compute_kernel_distance
from crf.metrics.moments import Array

RANDOM = np.random.default_rng(0)


def compute_slowly(a: Array, b: Array) -> float:
    """Pair by pair."""

    def average(x: Array, y: Array) -> float:
        pairs = [(p, q) for i, p in enumerate(x) for j, q in enumerate(y) if x is not y or i != j]
        return np.mean([(p @ q / len(p) + 1) ** 3 for p, q in pairs])

    return average(a, a) + average(b, b) - 2 * average(a, b)


@pytest.mark.parametrize("count", [700, 30, 2])
def test_kernel_distance_equals_torchmetrics(count: int) -> None:
    a, b = RANDOM.standard_normal((count, 20)), RANDOM.standard_normal((count, 20)) + 0.3
    found, expected = compute_kernel_distance(a, b), poly_mmd(torch.from_numpy(a), torch.from_numpy(b))
    assert found == pytest.approx(float(expected), rel=1e-9)


def test_kernel_distance_of_sets_of_different_sizes() -> None:
    a, b = RANDOM.standard_normal((20, 4)), RANDOM.standard_normal((13, 4)) + 0.3
    assert compute_kernel_distance(a, b) == pytest.approx(compute_slowly(a, b), rel=1e-9)
    assert compute_kernel_distance(b, a) == pytest.approx(compute_slowly(a, b), rel=1e-9)


def test_kernel_distance_of_one_distribution_is_zero_on_average() -> None:
    distances = [compute_kernel_distance(*RANDOM.standard_normal((2, 20, 4))) for _ in range(400)]
    assert abs(np.mean(distances)) < 4 * np.std(distances) / 20
    assert min(distances) < 0


def test_kernel_distance_of_one_sample_is_an_error() -> None:
    with pytest.raises(InputError, match="at least 2 samples per set, found 1 and 5"):
        compute_kernel_distance(np.ones((1, 3)), np.ones((5, 3)))
