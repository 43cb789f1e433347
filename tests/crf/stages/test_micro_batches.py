import numpy as np
import pytest

from crf.stages.micro_batches import MICRO_BATCH, Batch, StageModel


class Add(StageModel):
    def __init__(self, pads: bool) -> None:
        self.pads = pads
        self.sizes: list[int] = []

    def compute(self, batch: Batch) -> Batch:
        self.sizes.append(len(batch["a"]))
        return {**batch, "sum": batch["a"] + batch["b"]}


@pytest.mark.parametrize("pads", [False, True])
@pytest.mark.parametrize("rows", [1, MICRO_BATCH, MICRO_BATCH + 1, 3 * MICRO_BATCH])
def test_parts_are_of_a_fixed_size_and_joined_in_order(rows: int, pads: bool) -> None:
    add = Add(pads)
    reported: list[int] = []
    a, b = np.arange(rows), 7 * np.arange(rows)
    joined = add({"a": a, "b": b}, reported.append)
    assert np.array_equal(joined["sum"], a + b)
    assert np.array_equal(joined["a"], a)
    assert set(add.sizes[:-1]) <= {MICRO_BATCH}
    assert add.sizes[-1] == (MICRO_BATCH if pads else rows % MICRO_BATCH or MICRO_BATCH)
    assert sum(reported) == rows
