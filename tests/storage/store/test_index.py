"""The index: what reading a shard's rows costs, and what is read when the index is replaced."""

from pathlib import Path

import numpy as np
import psutil

from storage import LatentStore
from tests.support.stores import create_store, fill_shard, make_values

SHARDS = 500


def count_bytes_read(store: LatentStore, shard: int) -> int:
    before = psutil.Process().io_counters().read_chars
    assert store.rows(shard)["id"].to_pylist() == [f"id-{2 * shard}", f"id-{2 * shard + 1}"]
    return int(psutil.Process().io_counters().read_chars - before)


def test_the_footer_is_read_once(tmp_path: Path) -> None:
    """Its size grows with the number of shards, so what reading all of them costs would grow with its square."""
    first = count_bytes_read(create_store(str(tmp_path), 2 * SHARDS, 2), 0)
    assert first > 100_000
    assert count_bytes_read(LatentStore.open(str(tmp_path), allow_unsealed=True), 200) < first / 4


def test_an_index_that_was_replaced_is_read_anew(root: str) -> None:
    store = create_store(root, 4, 2)
    assert [store.rows(shard)["reason"].to_pylist() for shard in range(2)] == [[None, None]] * 2
    fill_shard(store, 1)
    values, seed = make_values(2, 0), np.zeros(2, np.uint64)
    store.write_shard(
        0, values, valid=np.array([True, False]), seed=seed, rejected={1: "a long reason " * 9}, timing={}
    )
    store.seal()
    assert [store.rows(shard)["reason"].to_pylist() for shard in range(2)] == [
        [None, "a long reason " * 9],
        [None, None],
    ]
