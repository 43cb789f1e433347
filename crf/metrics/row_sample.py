"""A sample of a set's rows that depends on their ids alone, for metrics that compare all pairs of rows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from crf.metrics.moments import Array

SAMPLE_SIZE = 10_000


@dataclass(frozen=True)
class RowSample:
    """The features of the rows whose ids have the smallest hashes, at most ``size`` of them, in the hashes' order.

    Samples of parts merge to that of the whole, bit for bit, in any split and order. Up to ``size`` rows are kept
    whole, so that a metric of them is exact; of more rows, the metric is that of a random sample.

    Args:
        count: Number of rows in the set.
        hashes_K: Hashes of the kept rows' ids, ascending.
        features_KD: Features of the kept rows, float32.
        size: Number of rows to keep.
    """

    count: int
    hashes_K: Array
    features_KD: Array
    size: int = SAMPLE_SIZE

    @classmethod
    def of(cls, features_ND: Array, ids: Sequence[str], size: int = SAMPLE_SIZE) -> Self:
        """Sample rows of features by their ids, of which no two are equal."""
        hashes_N = np.array([hash_id(row_id) for row_id in ids], np.uint64)
        kept_K = np.argsort(hashes_N)[:size]
        return cls(len(ids), hashes_N[kept_K], np.asarray(features_ND, np.float32)[kept_K], size)

    def merge(self, other: RowSample) -> RowSample:
        """Return the sample of both sets of rows together."""
        hashes_N = np.concatenate([self.hashes_K, other.hashes_K])
        kept_K = np.argsort(hashes_N)[: self.size]
        features_ND = np.concatenate([self.features_KD, other.features_KD])
        return RowSample(self.count + other.count, hashes_N[kept_K], features_ND[kept_K], self.size)


def hash_id(row_id: str) -> int:
    """Compute 64 bits of the SHA-256 of a row's id."""
    return int.from_bytes(hashlib.sha256(row_id.encode()).digest()[:8], "big")
