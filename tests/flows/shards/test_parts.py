from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.shards.parts import Part, divide
from storage import ArraySpec, LatentStore
from storage.store.index import index_tables

ROWS, SHARD_ROWS, MICRO_BATCH = 200, 96, 16  # shards of 96, 96 and 8 rows


@pytest.fixture
def store(tmp_path: Path) -> LatentStore:
    def rows() -> Iterator[dict[str, str]]:
        for number in range(ROWS):
            yield {"id": f"id-{number}", "caption": "", "uri": "", "checksum": "", "reason": ""}

    tables = index_tables(rows(), SHARD_ROWS)
    arrays = {"latents": ArraySpec.vector(1)}
    return LatentStore.create(str(tmp_path / "store"), arrays, tables, shard_rows=SHARD_ROWS, provenance={})


@pytest.mark.parametrize("actors", [1, 2, 3, 100])
@pytest.mark.parametrize("shards", [[0, 1, 2], [1], [0, 2]])
def test_parts_are_whole_micro_batches_and_make_up_their_shards(
    store: LatentStore, shards: list[int], actors: int
) -> None:
    parts = divide(store, shards, actors, MICRO_BATCH)
    for shard in shards:
        extent = store.extent(shard)
        own = [part for part in parts if part.shard == shard]
        assert [row for part in own for row in range(part.start, part.stop)] == list(range(extent.start, extent.stop))
        assert all((part.start - extent.start) % MICRO_BATCH == 0 for part in own)


def test_shards_are_divided_only_if_they_are_few(store: LatentStore) -> None:
    assert divide(store, [1], 1, 32) == [Part(1, 96, 128), Part(1, 128, 160), Part(1, 160, 192)]
    assert len(divide(store, [0, 1, 2], 100, MICRO_BATCH)) == 13  # one micro-batch each
    assert divide(store, [0, 1, 2], 1, 96) == [Part(0, 0, 96), Part(1, 96, 192), Part(2, 192, 200)]
