from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import ArraySpec, LatentStore, UnsealedStoreError, UserError
from storage.store.index import index_tables

SPEC = {"latents": ArraySpec.latent(4, 4, 2), "text": ArraySpec.vector(3)}


def rows(count: int) -> list[dict[str, str]]:
    return [
        {"id": f"id-{i}", "caption": f"caption {i}", "uri": f"file-{i}", "checksum": f"sha256:{i:064x}", "reason": None}
        for i in range(count)
    ]


def create(url: str, count: int, shard_rows: int) -> LatentStore:
    tables = index_tables(rows(count), shard_rows)
    return LatentStore.create(url, SPEC, tables, shard_rows=shard_rows, provenance={"stage": "test"})


def values(count: int, seed: int) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    return {
        "latents": random.standard_normal((count, 4, 4, 2)).astype(np.float16),
        "text": random.standard_normal((count, 3)).astype(np.float16),
    }


def fill(store: LatentStore, shard: int, seed: int = 0) -> dict[str, Any]:
    extent = store.extent(shard)
    count = extent.stop - extent.start
    arrays = values(count, seed + shard)
    store.write_shard(
        shard, arrays, valid=np.ones(count, bool), seed=np.arange(count, dtype=np.uint64), rejected={}, timing={}
    )
    return arrays


@settings(max_examples=15, deadline=None)
@given(count=st.integers(1, 23), shard_rows=st.integers(1, 9), seed=st.integers(0, 2**32 - 1))
def test_what_was_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, count: int, shard_rows: int, seed: int
) -> None:
    url = str(tmp_path_factory.mktemp("store") / "s")
    store = create(url, count, shard_rows)
    written = [fill(store, shard, seed) for shard in range(store.shard_count)]
    store.seal()
    opened = LatentStore.open(url)
    assert len(opened) == count
    for name in SPEC:
        expected = np.concatenate([arrays[name] for arrays in written])
        np.testing.assert_array_equal(np.asarray(opened[name][:]), expected)
    assert opened.index["id"].to_pylist() == [row["id"] for row in rows(count)]
    assert opened.valid.all()
    assert opened.verify() == []
    assert opened.provenance == {"stage": "test"}


def test_stock_zarr_reads_it_with_its_dimension_names(tmp_path: Path) -> None:
    store = create(str(tmp_path / "s"), 5, 2)
    written = [fill(store, shard)["latents"] for shard in range(3)]
    store.seal()
    array = zarr.open_array(str(tmp_path / "s/latents"), mode="r")
    assert array.metadata.dimension_names == ("sample", "y", "x", "channel")  # type: ignore[union-attr]
    np.testing.assert_array_equal(np.asarray(array[:]), np.concatenate(written))


def test_a_shard_is_one_object_an_array(tmp_path: Path) -> None:
    store = create(str(tmp_path / "s"), 5, 2)
    fill(store, 1)
    assert [p for p in (tmp_path / "s/latents/c").rglob("*") if p.is_file()] == [tmp_path / "s/latents/c/1/0/0/0"]


def test_unsealed_is_refused_with_how_far_it_is(tmp_path: Path) -> None:
    store = create(str(tmp_path / "s"), 5, 2)
    fill(store, 0)
    with pytest.raises(UnsealedStoreError, match="1 of 3 shards"):
        LatentStore.open(store.url)
    unfinished = LatentStore.open(store.url, allow_unsealed=True)
    assert unfinished.committed() == {0}
    assert np.isnan(np.asarray(unfinished["latents"][2:])).all()
    with pytest.raises(UserError, match="2 missing, the first 1"):
        store.seal()


def test_no_store_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="none at"):
        LatentStore.open(str(tmp_path / "nothing"))


def test_create_again_keeps_what_is_committed(tmp_path: Path) -> None:
    written = fill(create(str(tmp_path / "s"), 5, 2), 1)
    again = create(str(tmp_path / "s"), 5, 2)
    assert again.committed() == {1}
    np.testing.assert_array_equal(again.shard(1)["latents"], written["latents"])


def test_rejected_rows_keep_their_place_and_say_why(tmp_path: Path) -> None:
    store = create(str(tmp_path / "s"), 4, 2)
    fill(store, 0)
    store.write_shard(
        1,
        values(2, 1),
        valid=np.array([True, False]),
        seed=np.zeros(2, np.uint64),
        rejected={3: "empty: 0 bytes"},
        timing={},
    )
    store.seal()
    assert store.index["reason"].to_pylist() == [None, None, None, "empty: 0 bytes"]
    assert store.valid.tolist() == [True, True, True, False]
    assert {k: store.manifest[k] for k in ("rows", "valid", "rejected")} == {"rows": 4, "valid": 3, "rejected": 1}


def test_wrong_number_of_rows_is_refused(tmp_path: Path) -> None:
    store = create(str(tmp_path / "s"), 4, 2)
    with pytest.raises(ValueError, match="has 2 rows"):
        store.write_shard(0, values(3, 0), valid=np.ones(3, bool), seed=np.zeros(3, np.uint64), rejected={}, timing={})


def test_rows_of_a_shard_come_without_the_others(tmp_path: Path) -> None:
    store = create(str(tmp_path / "s"), 5, 2)
    assert store.rows(2).to_pylist() == rows(5)[4:]


def test_index_tables_group_by_shard() -> None:
    tables = list(index_tables(rows(5), 2))
    assert [len(table) for table in tables] == [2, 2, 1]
    assert pa.concat_tables(tables).to_pylist() == rows(5)


def test_a_sample_is_its_line_of_the_index_and_its_part_of_each_array(tmp_path: Path) -> None:
    store = create(str(tmp_path / "s"), 5, 2)
    written = [fill(store, shard) for shard in range(3)]
    store.seal()
    sample = LatentStore.open(store.url).sample(3)
    assert (sample["id"], sample["caption"], sample["reason"]) == ("id-3", "caption 3", None)
    assert (bool(sample["valid"]), int(sample["seed"])) == (True, 1)
    np.testing.assert_array_equal(sample["latents"], written[1]["latents"][1])
    assert (sample["latents"].dtype, sample["text"].shape) == (np.float16, (3,))
    for row in (-1, 5):
        with pytest.raises(IndexError, match=f"row {row} of 5"):
            store.sample(row)
