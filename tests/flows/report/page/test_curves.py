"""Variance by step is each valid sample's own."""

from pathlib import Path

import numpy as np

from flows.report.page.curves import measure_variance
from storage import ArraySpec, LatentStore
from storage.store.index import index_tables
from tests.support.stores import make_rows


def test_variance_is_each_valid_samples_own_at_each_step(tmp_path: Path) -> None:
    spec = ArraySpec((3, 4, 4, 2), "float16", ("step", "y", "x", "channel"))
    store = LatentStore.create(
        str(tmp_path / "store"), {"trajectory_state": spec}, index_tables(make_rows(4), 2), shard_rows=2, provenance={}
    )
    values = np.random.default_rng(0).standard_normal((4, 3, 4, 4, 2)).astype(np.float16)
    valid = np.array([True, False, True, True])
    for shard in range(2):
        part = slice(2 * shard, 2 * shard + 2)
        store.write_shard(
            shard,
            {"trajectory_state": values[part]},
            valid=valid[part],
            seed=np.arange(2, dtype=np.uint64),
            rejected={} if shard else {1: "bad"},
            timing={},
        )
    store.seal()
    expected = [[step.astype(np.float64).var() for step in sample] for sample in values[valid]]
    found = measure_variance(LatentStore.open(store.url), "trajectory_state")
    np.testing.assert_allclose(found, expected, rtol=1e-5)
