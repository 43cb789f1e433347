"""Compute a batch in parts of a fixed size, so that the size of a shard never changes a result."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

MICRO_BATCH = 16  # fixed: another size may change the last bits of a matrix product
Batch = dict[str, Any]


class StageModel(ABC):
    """What a stage computes: a dict of columns, one array each, to a dict of columns with the same rows.

    ``pads``: whether the last micro-batch is filled up with copies of its last row, so that a row's result does not
    depend on how many rows are in its batch. That costs time unless the number of rows is a multiple of MICRO_BATCH.
    """

    pads = False

    def __call__(self, batch: Batch, report_rows: Callable[[int], None] = lambda rows: None) -> Batch:
        """Compute a batch of any size. Calls ``report_rows`` with the number of rows of each finished micro-batch."""
        parts = []
        for part in split_micro_batches(batch):
            rows = count_rows(part)
            parts.append(take_rows(self.compute(pad_rows(part)), rows) if self.pads else self.compute(part))
            report_rows(rows)
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    @abstractmethod
    def compute(self, batch: Batch) -> Batch:
        """Compute at most MICRO_BATCH rows."""


def split_micro_batches(batch: Batch) -> Iterator[Batch]:
    """Yield MICRO_BATCH rows at a time."""
    for start in range(0, count_rows(batch), MICRO_BATCH):
        yield {name: column[start : start + MICRO_BATCH] for name, column in batch.items()}


def pad_rows(batch: Batch) -> Batch:
    """Repeat the last row until there are MICRO_BATCH rows."""
    count = count_rows(batch)
    places = [*range(count), *[count - 1] * (MICRO_BATCH - count)]
    return {name: column[places] for name, column in batch.items()}


def take_rows(batch: Batch, count: int) -> Batch:
    """Return the first ``count`` rows."""
    return {name: column[:count] for name, column in batch.items()}


def count_rows(batch: Batch) -> int:
    """Count the rows of a batch, which all of its columns have."""
    return len(next(iter(batch.values())))
