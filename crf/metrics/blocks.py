"""Rows in blocks, so that no matrix of all pairs is ever in memory."""

from collections.abc import Iterator

from crf.metrics.moments import Array

BLOCK = 512


def split_rows(x_ND: Array) -> Iterator[Array]:
    """Yield the rows in blocks of at most BLOCK."""
    for start in range(0, len(x_ND), BLOCK):
        yield x_ND[start : start + BLOCK]
