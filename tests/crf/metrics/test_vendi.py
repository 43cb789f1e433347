import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from vendi_score import vendi

from crf.errors import InputError
from crf.metrics.moments import Moments
from crf.metrics.vendi import (
    compute_vendi_of_moments,
    compute_vendi_of_similarity,
    compute_vendi_per_group,
    compute_vendi_score,
    scale_to_unit,
)


def test_vendi_readme_values() -> None:
    """From the README of the metric's authors."""
    samples = np.array([[1.0, 0.9, 0.0], [0.9, 1.0, 0.0], [0.0, 0.0, 1.0]])
    assert compute_vendi_of_similarity(samples) == pytest.approx(2.1573, abs=5e-5)
    digits = 1 - np.abs(np.subtract.outer([0, 0, 10, 10, 20, 20], [0, 0, 10, 10, 20, 20])) / 10
    assert compute_vendi_of_similarity(np.maximum(digits, 0)) == pytest.approx(3.0, abs=1e-3)


@pytest.mark.parametrize("shape", [(4, 30), (30, 4), (1, 5), (12, 12)])
def test_vendi_equals_its_authors(shape: tuple[int, int]) -> None:
    features = np.random.default_rng(0).standard_normal(shape) + 0.5
    assert compute_vendi_score(features) == pytest.approx(vendi.score_dual(features, normalize=True), rel=1e-9)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_vendi_counts(count: int) -> None:
    assert compute_vendi_score(np.eye(count, 9)) == pytest.approx(count)
    assert compute_vendi_score(np.ones((count, 9))) == pytest.approx(1)


@given(st.integers(1, 20), st.integers(0, 20))
def test_vendi_of_merged_parts_is_that_of_the_whole(count: int, split: int) -> None:
    unit = scale_to_unit(np.random.default_rng(count).standard_normal((count, 6)))
    merged = Moments.of(unit[:split]).merge(Moments.of(unit[split:]))
    assert compute_vendi_of_moments(merged) == pytest.approx(compute_vendi_of_similarity(unit @ unit.T), rel=1e-9)


def test_vendi_per_group() -> None:
    features = np.concatenate([np.eye(2, 5), np.ones((2, 5))])
    assert compute_vendi_per_group(features, np.array(["b", "b", "a", "a"])) == pytest.approx([1, 2])


def test_vendi_of_no_samples_is_an_error() -> None:
    with pytest.raises(InputError, match="at least 1 sample, found none"):
        compute_vendi_score(np.ones((0, 3)))
