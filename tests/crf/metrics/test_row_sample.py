from functools import reduce

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from crf.metrics.row_sample import RowSample


def sample(ids: list[str], size: int) -> RowSample:
    """Sample rows whose features are their ids' numbers."""
    return RowSample.of(np.array([[float(row)] for row in ids]).reshape(-1, 1), ids, size)


@given(st.lists(st.integers(0, 10_000).map(str), unique=True, max_size=40), st.integers(1, 30), st.data())
def test_samples_of_parts_merge_to_that_of_the_whole_in_any_split_and_order(
    ids: list[str], size: int, data: st.DataObject
) -> None:
    whole = sample(ids, size)
    shuffled = data.draw(st.permutations(ids))
    ends = sorted(data.draw(st.lists(st.integers(0, len(ids)), max_size=4)))
    parts = [shuffled[start:end] for start, end in zip([0, *ends], [*ends, len(ids)], strict=True)]
    merged = reduce(RowSample.merge, [sample(part, size) for part in parts])
    assert merged.count == len(ids)
    assert len(merged.features_KD) == min(size, len(ids))
    np.testing.assert_array_equal(merged.hashes_K, whole.hashes_K)
    np.testing.assert_array_equal(merged.features_KD, whole.features_KD)
    if len(ids) <= size:
        assert sorted(merged.features_KD[:, 0]) == sorted(float(row) for row in ids)


def test_sample_represents_the_set() -> None:
    """The mean of 2,000 of the numbers below 20,000 lies within four standard errors of all numbers' mean."""
    kept = sample([str(number) for number in range(20_000)], 2000).features_KD
    assert abs(kept.mean() - 9999.5) < 4 * 20_000 / np.sqrt(12 * 2000)
