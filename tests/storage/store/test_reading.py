from itertools import islice
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
import zarr

from storage import DamagedStoreError, LatentStore
from storage.store.reader import shuffled_batches
from tests.support.stores import create_store, fill_shard

ROWS, SHARD_ROWS, SHARDS = 8, 3, 3


@pytest.fixture(params=["local", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "s") if request.param == "local" else f"memory://{uuid4().hex}"


def make(url: str) -> np.ndarray:
    """A sealed store; -> its latents."""
    store = create_store(url, ROWS, SHARD_ROWS)
    written = np.concatenate([fill_shard(store, shard)["latents"] for shard in range(SHARDS)])
    store.seal()
    return written


def assert_reads(url: str, written: np.ndarray) -> None:
    """In each of the ways that there are."""
    store = LatentStore.open(url)
    np.testing.assert_array_equal(np.concatenate([store.values("latents", shard) for shard in range(SHARDS)]), written)
    np.testing.assert_array_equal([store.sample(row)["latents"] for row in range(ROWS)], written)
    np.testing.assert_array_equal([store.value("latents", row) for row in range(ROWS)], written)
    for batch in islice(shuffled_batches(store, ["latents"], 3, seed=0), 5):
        np.testing.assert_array_equal(batch["latents"], written[batch["row"]])


def read_all(url: str) -> None:
    for _ in islice(shuffled_batches(LatentStore.open(url), ["latents"], 1, seed=0), ROWS):
        pass


def test_every_way_of_reading_gives_what_was_written(url: str) -> None:
    assert_reads(url, make(url))


def test_what_zarr_wrote_is_read_too(url: str) -> None:
    written = make(url)
    array = zarr.open_array(f"{url}/latents", mode="r+")
    array[:3] = written[2::-1]  # one chunk after the other, in the order in which they come
    for row in (2, 1, 0):
        array[row] = written[row]
    assert_reads(url, written)


@pytest.mark.parametrize("row", [0, 4, 7])
def test_a_flipped_bit_is_met_where_its_row_is_read(tmp_path: Path, row: int) -> None:
    url = str(tmp_path / "s")
    written = make(url)
    shard, place = divmod(row, SHARD_ROWS)
    file = Path(url, f"latents/c/{shard}/0/0/0")
    data = bytearray(file.read_bytes())
    data[place * (written[0].nbytes + 4) + 5] ^= 1
    file.write_bytes(data)
    store = LatentStore.open(url)
    for other in set(range(ROWS)) - {row}:
        np.testing.assert_array_equal(store.sample(other)["latents"], written[other])
    for read in (lambda: store.sample(row), lambda: store.values("latents", shard), lambda: read_all(url)):
        with pytest.raises(DamagedStoreError, match=f"latents/c/{shard}/0/0/0"):
            read()


def test_an_object_that_is_missing_is_not_taken_for_rejected_rows(tmp_path: Path) -> None:
    url = str(tmp_path / "s")
    make(url)
    Path(url, "latents/c/1/0/0/0").unlink()
    store = LatentStore.open(url)
    for read in (lambda: store.sample(4), lambda: store.values("latents", 1), lambda: read_all(url)):
        with pytest.raises(DamagedStoreError, match="latents/c/1/0/0/0"):
            read()


def test_an_object_that_is_cut_off_while_it_is_read(tmp_path: Path) -> None:
    url = str(tmp_path / "s")
    make(url)
    batches = shuffled_batches(LatentStore.open(url), ["latents"], 1, seed=0)
    next(batches)
    for shard in range(SHARDS):
        Path(url, f"latents/c/{shard}/0/0/0").write_bytes(b"")
    with pytest.raises(DamagedStoreError):
        list(islice(batches, ROWS))
