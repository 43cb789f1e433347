import logging

import numpy as np
import pytest
import torch

from crf.errors import InputError
from crf.stages.micro_batches import HALVED_TO, MICRO_BATCH, Batch, StageModel


class Add(StageModel):
    """Adds two columns; out of memory with more than ``most`` rows."""

    def __init__(self, pads: bool, most: int = MICRO_BATCH) -> None:
        self.pads, self.most = pads, most
        self.sizes: list[int] = []

    def compute(self, batch: Batch) -> Batch:
        if len(batch["a"]) > self.most:
            raise torch.OutOfMemoryError("tried to allocate more than there is")
        self.sizes.append(len(batch["a"]))
        return {**batch, "sum": batch["a"] + batch["b"]}


def make_batch(rows: int) -> Batch:
    return {"a": np.arange(rows), "b": 7 * np.arange(rows)}


@pytest.mark.parametrize("pads", [False, True])
@pytest.mark.parametrize("rows", [1, MICRO_BATCH, MICRO_BATCH + 1, 3 * MICRO_BATCH])
def test_parts_are_of_a_fixed_size_and_joined_in_order(rows: int, pads: bool) -> None:
    add = Add(pads)
    reported: list[int] = []
    batch = make_batch(rows)
    joined = add(batch, reported.append)
    assert np.array_equal(joined["sum"], batch["a"] + batch["b"])
    assert np.array_equal(joined["a"], batch["a"])
    assert set(add.sizes[:-1]) <= {MICRO_BATCH}
    assert add.sizes[-1] == (MICRO_BATCH if pads else rows % MICRO_BATCH or MICRO_BATCH)
    assert sum(reported) == rows
    assert not joined[HALVED_TO].any()


@pytest.mark.parametrize("pads", [False, True])
def test_out_of_memory_the_rest_is_computed_in_smaller_parts(pads: bool, caplog: pytest.LogCaptureFixture) -> None:
    """And the rows that were say so."""
    add = Add(pads, most=5)
    with caplog.at_level(logging.WARNING):
        joined = add(make_batch(21))
    assert np.array_equal(joined["sum"], 8 * np.arange(21))
    assert add.sizes == [4, 4, 4, 4, 4, 4 if pads else 1]
    assert set(joined[HALVED_TO]) == {4}
    assert [record.message.split(" from")[0] for record in caplog.records] == [
        "out of memory: computing 8 rows at a time",
        "out of memory: computing 4 rows at a time",
    ]
    assert set(add(make_batch(2))[HALVED_TO]) == {4}, "a device that was too small once is not tried again"


def test_too_little_memory_for_one_row_is_the_users_to_know() -> None:
    with pytest.raises(InputError, match="memory for one sample, found out of memory"):
        Add(False, most=0)(make_batch(3))
