"""Compute a batch in parts of a fixed size, so that the size of a shard never changes a result."""

from collections.abc import Callable
from typing import Any

import numpy as np

MICRO_BATCH = 16  # fixed: another size may change the last bits of a matrix product


def map_micro_batches(compute: Callable[..., dict[str, Any]], *columns: Any) -> dict[str, Any]:
    """Call ``compute`` on MICRO_BATCH rows of the columns at a time, and join the arrays that it returns by name."""
    starts = range(0, len(columns[0]), MICRO_BATCH)
    parts = [compute(*(column[start : start + MICRO_BATCH] for column in columns)) for start in starts]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
