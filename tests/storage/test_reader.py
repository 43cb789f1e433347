from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from storage import ArraySpec, LatentStore, UserError
from storage.index import index_tables
from storage.reader import shuffled_batches


def numbered_store(url: str, count: int, shard_rows: int, invalid: set[int]) -> LatentStore:
    """Row n holds the number n."""
    tables = index_tables(({"id": str(i), "caption": "", "uri": "", "sha256": ""} for i in range(count)), shard_rows)
    store = LatentStore.create(
        url, {"n": ArraySpec((1,), "float32", ("x",))}, tables, shard_rows=shard_rows, provenance={}
    )
    for shard in range(store.shard_count):
        rows = np.arange(store.extent(shard).start, store.extent(shard).stop)
        valid = np.array([row not in invalid for row in rows])
        rejected = {int(row): "bad" for row in rows if int(row) in invalid}
        store.write_shard(
            shard,
            {"n": rows[:, None].astype(np.float32)},
            valid=valid,
            seed=rows.astype(np.uint64),
            rejected=rejected,
            timing={},
        )
    store.seal()
    return store


def test_an_epoch_has_every_valid_row_once_in_random_order(tmp_path: Path) -> None:
    store = numbered_store(str(tmp_path / "s"), 20, 3, invalid={4, 11})
    batches = list(islice(shuffled_batches(store, ["n"], 6, seed=0), 3))
    seen = np.concatenate([batch["n"][:, 0] for batch in batches]).tolist()
    assert sorted(seen) == [float(n) for n in range(20) if n not in (4, 11)]
    assert seen != sorted(seen)


def test_the_seed_decides_the_order(tmp_path: Path) -> None:
    store = numbered_store(str(tmp_path / "s"), 20, 3, invalid=set())

    def first(seed: int) -> list[float]:
        return [float(n) for batch in islice(shuffled_batches(store, ["n"], 5, seed), 6) for n in batch["n"][:, 0]]

    assert first(1) == first(1)
    assert first(1) != first(2)


def test_a_store_without_valid_rows_is_refused(tmp_path: Path) -> None:
    store = numbered_store(str(tmp_path / "s"), 2, 2, invalid={0, 1})
    with pytest.raises(UserError, match="valid rows"):
        next(shuffled_batches(store, ["n"], 2, seed=0))


def test_fewer_rows_than_a_batch(tmp_path: Path) -> None:
    store = numbered_store(str(tmp_path / "s"), 3, 2, invalid=set())
    assert len(next(shuffled_batches(store, ["n"], 16, seed=0))["n"]) == 3
