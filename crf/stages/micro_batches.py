"""Compute a batch in parts of a fixed size, so that the size of a shard never changes a result."""

from collections.abc import Callable
from typing import Any

import numpy as np

MICRO_BATCH = 16  # fixed: another size may change the last bits of a matrix product
Compute = Callable[..., dict[str, Any]]


def map_micro_batches(compute: Compute, *columns: Any) -> dict[str, Any]:
    """Call ``compute`` on MICRO_BATCH rows of the columns at a time, and join the arrays that it returns by name."""
    starts = range(0, len(columns[0]), MICRO_BATCH)
    parts = [compute(*(column[start : start + MICRO_BATCH] for column in columns)) for start in starts]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def map_full_micro_batches(compute: Compute, *columns: Any) -> dict[str, Any]:
    """Do the same, but repeat the last row until the last part is full, and drop what the repetitions give.

    So a row's result does not depend on how many rows are in its batch. That costs time unless the number of rows is
    a multiple of MICRO_BATCH.
    """
    count = len(columns[0])
    padding = [*range(count), *[count - 1] * (-count % MICRO_BATCH)]
    arrays = map_micro_batches(compute, *(column[padding] for column in columns))
    return {name: values[:count] for name, values in arrays.items()}
