import numpy as np
import pytest

from crf.evaluation.metrics import (
    compute_frechet_distance,
    compute_mean_vendi,
    compute_vendi_of_similarity,
    compute_vendi_score,
)


def test_vendi_readme_values() -> None:
    """From the README of the metric's authors."""
    samples = np.array([[1.0, 0.9, 0.0], [0.9, 1.0, 0.0], [0.0, 0.0, 1.0]])
    assert compute_vendi_of_similarity(samples) == pytest.approx(2.1573, abs=5e-5)
    digits = 1 - np.abs(np.subtract.outer([0, 0, 10, 10, 20, 20], [0, 0, 10, 10, 20, 20])) / 10
    assert compute_vendi_of_similarity(np.maximum(digits, 0)) == pytest.approx(3.0, abs=1e-3)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_vendi_counts(count: int) -> None:
    assert compute_vendi_score(np.eye(count, 9)) == pytest.approx(count)
    assert compute_vendi_score(np.ones((count, 9))) == pytest.approx(1)


def test_mean_vendi_is_per_group() -> None:
    features = np.concatenate([np.eye(2, 5), np.ones((2, 5))])
    assert compute_mean_vendi(features, np.array([0, 0, 1, 1])) == pytest.approx(1.5)


def slow_frechet(a: np.ndarray, b: np.ndarray) -> float:
    """Through the matrix square root's eigenvalues, as the definition has it."""
    cov_a, cov_b = np.cov(a.T), np.cov(b.T)
    roots = np.sqrt(np.maximum(np.linalg.eigvals(cov_a @ cov_b).real, 0))
    mean = ((a.mean(0) - b.mean(0)) ** 2).sum()
    return float(mean + np.trace(cov_a) + np.trace(cov_b) - 2 * roots.sum())


@pytest.mark.parametrize(("count_a", "count_b"), [(200, 150), (4, 30), (3, 3)])
def test_frechet_equals_the_definition(count_a: int, count_b: int) -> None:
    random = np.random.default_rng(0)
    a = random.standard_normal((count_a, 6)) * [1, 2, 3, 1, 1, 1]
    b = random.standard_normal((count_b, 6)) + 0.5
    assert compute_frechet_distance(a, b) == pytest.approx(slow_frechet(a, b), rel=1e-6)


def test_frechet_of_a_set_with_itself_and_with_a_shift() -> None:
    a = np.random.default_rng(0).standard_normal((50, 8))
    assert compute_frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert compute_frechet_distance(a, a + 2) == pytest.approx(4 * 8)
