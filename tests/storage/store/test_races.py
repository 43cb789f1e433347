"""Several who make the same store at the same time: one result, nothing torn, and none of them fails."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event

import pyarrow as pa
import pytest

from storage import LatentStore
from storage.store.index import index_tables
from tests.storage.store.test_latent_store import SPEC, create, fill, rows
from tests.storage.store.test_object_stores import contents_at
from tests.storage.store.test_verification import contents, make, make_at, read_all

DRIVERS = 4


# Ignoring it once more for a moment, as the layout does, is not safe among threads.
@pytest.mark.filterwarnings("ignore:Consolidated metadata")
def test_makers_from_the_first_object_to_the_seal(root: str, tmp_path: Path) -> None:
    together = Barrier(DRIVERS)

    def drive(_: int) -> str:
        together.wait()
        return make_at(root)

    with ThreadPoolExecutor(DRIVERS) as threads:
        [url] = set(threads.map(drive, range(DRIVERS)))
    assert contents_at(url) == contents(make(tmp_path))
    assert LatentStore.open(url).verify() == []


@pytest.mark.filterwarnings("ignore:Consolidated metadata")
def test_sealers_writers_and_a_reader(tmp_path: Path) -> None:
    """What one reads while others seal the same store again, and clear up what killed writers have left, is whole."""
    url = make_at(str(tmp_path))
    whole, done = read_all(url), Event()

    def again(_: int) -> None:
        for _ in range(10):
            make_at(str(tmp_path))

    def read() -> int:
        count = 0
        while not done.is_set():
            assert read_all(url) == whole
            count += 1
        return count

    with ThreadPoolExecutor(DRIVERS + 1) as threads:
        reader = threads.submit(read)
        list(threads.map(again, range(DRIVERS)))
        done.set()
        assert reader.result() > 0


def test_one_that_is_still_laying_out_when_the_other_has_sealed(root: str) -> None:
    def slowly() -> Iterator[pa.Table]:
        """A driver stands still before its first table, while another one does all of the work."""
        store = create(root, 5, 2)
        for shard in range(3):
            fill(store, shard)
        store.seal()
        yield from index_tables(rows(5), 2)

    late = LatentStore.create(root, SPEC, slowly(), shard_rows=2, provenance={"stage": "test"})
    before = contents_at(root)
    assert LatentStore.open(root).verify() == []
    for shard in range(3):
        fill(late, shard)
    late.seal()
    assert contents_at(root) == before
