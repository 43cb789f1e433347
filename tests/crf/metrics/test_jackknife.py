import numpy as np
import pytest

from crf.errors import InputError
from crf.metrics.frechet import compute_frechet_distance
from crf.metrics.jackknife import (
    assign_groups,
    estimate_frechet_difference,
    estimate_frechet_distance,
    group_moments,
    merge_groups,
)
from crf.metrics.moments import Moments

RANDOM = np.random.default_rng(0)
FEATURES = RANDOM.standard_normal((30, 6))
GROUPS = np.arange(30) // 3
REFERENCE = Moments.of(RANDOM.standard_normal((50, 6)) + 1)


def test_interval_is_that_of_the_definition() -> None:
    """Leave out each group, compute the distance of what is left, and take t with 9 degrees of freedom."""
    found = estimate_frechet_distance(group_moments(FEATURES, GROUPS), REFERENCE)
    rest = [Moments.of(FEATURES[group != GROUPS]) for group in range(10)]
    without = np.array([compute_frechet_distance(moments, REFERENCE) for moments in rest])
    error = np.sqrt(9 / 10 * ((without - without.mean()) ** 2).sum())
    assert found.value == pytest.approx(compute_frechet_distance(Moments.of(FEATURES), REFERENCE))
    assert (found.high - found.low) / 2 == pytest.approx(2.2621572 * error)
    assert (found.high + found.low) / 2 == pytest.approx(found.value)


def test_interval_of_a_difference_is_paired() -> None:
    """A set that differs from the baseline a little has a small interval around a small difference."""
    baseline = group_moments(FEATURES, GROUPS)
    near = group_moments(FEATURES + 0.01 * RANDOM.standard_normal(FEATURES.shape), GROUPS)
    difference = estimate_frechet_difference(near, baseline, REFERENCE)
    alone = estimate_frechet_distance(near, REFERENCE)
    expected = alone.value - estimate_frechet_distance(baseline, REFERENCE).value
    assert difference.value == pytest.approx(expected)
    assert difference.high - difference.low < 0.1 * (alone.high - alone.low)
    assert estimate_frechet_difference(baseline, baseline, REFERENCE) == (0, 0, 0)


def test_groups_of_parts_merge_to_those_of_the_whole() -> None:
    whole = estimate_frechet_distance(group_moments(FEATURES, GROUPS), REFERENCE)
    parts = [group_moments(FEATURES[part], GROUPS[part]) for part in (slice(20, None), slice(0, 8), slice(8, 20))]
    merged = merge_groups(merge_groups(parts[0], parts[1]), parts[2])
    assert estimate_frechet_distance(merged, REFERENCE) == pytest.approx(whole)


def test_captions_are_groups_of_their_own_until_there_are_many() -> None:
    few = assign_groups(["b", "a", "b", "c"])
    assert few.tolist() == [1, 0, 1, 2]
    many = assign_groups([f"caption {number}" for number in range(500) for _ in range(2)])
    assert (many[::2] == many[1::2]).all()
    assert np.bincount(many).tolist() == pytest.approx([500 * 2 / 48] * 48, abs=2)


def test_one_caption_has_no_interval() -> None:
    alone = group_moments(FEATURES, np.zeros(30))
    with pytest.raises(InputError, match="at least 2 captions for an interval, found 1"):
        estimate_frechet_distance(alone, REFERENCE)
    with pytest.raises(InputError, match="the same groups of captions in both sets, found 1 and 10 groups"):
        estimate_frechet_difference(alone, group_moments(FEATURES, GROUPS), REFERENCE)
