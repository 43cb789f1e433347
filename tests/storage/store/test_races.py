"""Several who make the same store at the same time: one result, nothing torn, and none of them fails."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event

import pyarrow as pa
import pytest

from storage import LatentStore
from storage.store.index import index_tables
from tests.support.stores import SPECS, create_store, fill_shard, make_rows, make_store, read_objects, read_store

DRIVERS = 4


# Ignoring it once more for a moment, as the layout does, is not safe among threads.
@pytest.mark.filterwarnings("ignore:Consolidated metadata")
def test_makers_from_the_first_object_to_the_seal(root: str, tmp_path: Path) -> None:
    together = Barrier(DRIVERS)

    def drive(_: int) -> str:
        together.wait()
        return make_store(root)

    with ThreadPoolExecutor(DRIVERS) as threads:
        [url] = set(threads.map(drive, range(DRIVERS)))
    assert read_objects(url) == read_objects(make_store(tmp_path))
    assert LatentStore.open(url).verify() == []


@pytest.mark.filterwarnings("ignore:Consolidated metadata")
def test_sealers_writers_and_a_reader(tmp_path: Path) -> None:
    """What one reads while others seal the same store again, and clear up what killed writers have left, is whole."""
    url = make_store(tmp_path)
    whole, done, together = read_store(url), Event(), Barrier(DRIVERS + 1)

    def again(_: int) -> None:
        together.wait()
        for _ in range(10):
            make_store(tmp_path)

    def read() -> None:
        together.wait()
        while not done.is_set():
            assert read_store(url) == whole

    with ThreadPoolExecutor(DRIVERS + 1) as threads:
        reader = threads.submit(read)
        try:
            list(threads.map(again, range(DRIVERS)))
        finally:
            done.set()
        reader.result()


def test_one_that_is_still_laying_out_when_the_other_has_sealed(root: str) -> None:
    def slowly() -> Iterator[pa.Table]:
        """A driver stands still before its first table, while another one does all of the work."""
        store = create_store(root, 5, 2)
        for shard in range(3):
            fill_shard(store, shard)
        store.seal()
        yield from index_tables(make_rows(5), 2)

    late = LatentStore.create(root, SPECS, slowly(), shard_rows=2, provenance={"stage": "test"})
    before = read_objects(root)
    assert LatentStore.open(root).verify() == []
    for shard in range(3):
        fill_shard(late, shard)
    late.seal()
    assert read_objects(root) == before
