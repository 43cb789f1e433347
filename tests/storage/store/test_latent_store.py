from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import LatentStore, UnsealedStoreError, UserError
from storage.store.index import index_tables
from tests.support.stores import SPECS, create_store, fill_shard, make_rows, make_values


@settings(max_examples=15)
@given(count=st.integers(1, 23), shard_rows=st.integers(1, 9), seed=st.integers(0, 2**32 - 1))
def test_what_was_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, count: int, shard_rows: int, seed: int
) -> None:
    url = str(tmp_path_factory.mktemp("store") / "s")
    store = create_store(url, count, shard_rows)
    written = [fill_shard(store, shard, seed) for shard in range(store.shard_count)]
    store.seal()
    opened = LatentStore.open(url)
    assert len(opened) == count
    for name in SPECS:
        expected = np.concatenate([arrays[name] for arrays in written])
        np.testing.assert_array_equal(np.asarray(opened[name][:]), expected)
    assert opened.index["id"].to_pylist() == [row["id"] for row in make_rows(count)]
    assert opened.valid.all()
    assert opened.verify() == []
    assert opened.provenance == {"stage": "test"}


def test_stock_zarr_reads_it_with_its_dimension_names(tmp_path: Path) -> None:
    store = create_store(str(tmp_path / "s"), 5, 2)
    written = [fill_shard(store, shard)["latents"] for shard in range(3)]
    store.seal()
    array = zarr.open_array(str(tmp_path / "s/latents"), mode="r")
    assert array.metadata.dimension_names == ("sample", "y", "x", "channel")
    np.testing.assert_array_equal(np.asarray(array[:]), np.concatenate(written))


def test_a_shard_is_one_object_an_array(tmp_path: Path) -> None:
    store = create_store(str(tmp_path / "s"), 5, 2)
    fill_shard(store, 1)
    assert [p for p in (tmp_path / "s/latents/c").rglob("*") if p.is_file()] == [tmp_path / "s/latents/c/1/0/0/0"]


def test_unsealed_is_rejected_with_how_far_it_is(tmp_path: Path) -> None:
    store = create_store(str(tmp_path / "s"), 5, 2)
    fill_shard(store, 0)
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
    written = fill_shard(create_store(str(tmp_path / "s"), 5, 2), 1)
    again = create_store(str(tmp_path / "s"), 5, 2)
    assert again.committed() == {1}
    np.testing.assert_array_equal(again.shard(1)["latents"], written["latents"])


def test_rejected_rows_keep_their_place_and_say_why(tmp_path: Path) -> None:
    store = create_store(str(tmp_path / "s"), 4, 2)
    fill_shard(store, 0)
    store.write_shard(
        1,
        make_values(2, 1),
        valid=np.array([True, False]),
        seed=np.zeros(2, np.uint64),
        rejected={3: "empty: 0 bytes"},
        timing={},
    )
    store.seal()
    assert store.index["reason"].to_pylist() == [None, None, None, "empty: 0 bytes"]
    assert store.valid.tolist() == [True, True, True, False]
    assert (store.manifest.rows, store.manifest.valid, store.manifest.rejected) == (4, 3, 1)


def test_wrong_number_of_rows_is_rejected(tmp_path: Path) -> None:
    store = create_store(str(tmp_path / "s"), 4, 2)
    with pytest.raises(UserError, match=r"expected 2 rows for shard 0 .*, found 3 in 'latents'"):
        store.write_shard(
            0, make_values(3, 0), valid=np.ones(3, bool), seed=np.zeros(3, np.uint64), rejected={}, timing={}
        )


def test_rows_of_a_shard_come_without_the_others(tmp_path: Path) -> None:
    store = create_store(str(tmp_path / "s"), 5, 2)
    assert store.rows(2).to_pylist() == make_rows(5)[4:]


def test_index_tables_group_by_shard() -> None:
    tables = list(index_tables(make_rows(5), 2))
    assert [len(table) for table in tables] == [2, 2, 1]
    assert pa.concat_tables(tables).to_pylist() == make_rows(5)


def test_a_sample_is_its_line_of_the_index_and_its_part_of_each_array(tmp_path: Path) -> None:
    store = create_store(str(tmp_path / "s"), 5, 2)
    written = [fill_shard(store, shard) for shard in range(3)]
    store.seal()
    sample = LatentStore.open(store.url).sample(3)
    assert (sample["id"], sample["caption"], sample["reason"]) == ("id-3", "caption 3", None)
    assert (bool(sample["valid"]), int(sample["seed"])) == (True, 1)
    np.testing.assert_array_equal(sample["latents"], written[1]["latents"][1])
    assert (sample["latents"].dtype, sample["text"].shape) == (np.float16, (3,))
    for row in (-1, 5):
        with pytest.raises(IndexError, match=f"row {row} of 5"):
            store.sample(row)
