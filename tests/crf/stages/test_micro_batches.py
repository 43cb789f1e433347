import numpy as np
import pytest

from crf.stages.micro_batches import MICRO_BATCH, map_micro_batches


@pytest.mark.parametrize("rows", [1, MICRO_BATCH, MICRO_BATCH + 1, 3 * MICRO_BATCH])
def test_parts_are_of_a_fixed_size_and_joined_in_order(rows: int) -> None:
    sizes = []

    def compute(a: np.ndarray, b: np.ndarray) -> dict[str, np.ndarray]:
        sizes.append(len(a))
        return {"sum": a + b, "a": a}

    a, b = np.arange(rows), 7 * np.arange(rows)
    joined = map_micro_batches(compute, a, b)
    assert np.array_equal(joined["sum"], a + b)
    assert np.array_equal(joined["a"], a)
    assert set(sizes[:-1]) <= {MICRO_BATCH}
    assert sizes[-1] <= MICRO_BATCH
