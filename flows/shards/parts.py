"""Divide shards into parts of whole micro-batches, so that all actors work on a set that has few shards.

A micro-batch holds the same rows wherever its shard is divided, so no byte of a store depends on it.
"""

from dataclasses import dataclass

from storage import LatentStore

PARTS_PER_ACTOR = 4  # at least, so that the actors end at about the same time


@dataclass(frozen=True)
class Part:
    """The rows ``start`` to ``stop`` of a store, all of one shard."""

    shard: int
    start: int
    stop: int


def divide(store: LatentStore, shards: list[int], actors: int, micro_batch: int) -> list[Part]:
    """Return the parts of the shards, in order. Shards are whole if there are enough of them for all actors.

    ``micro_batch``: rows that the model computes together.
    """
    extents = {shard: store.extent(shard) for shard in shards}
    rows = sum(extent.stop - extent.start for extent in extents.values())
    size = micro_batch * -(-rows // (PARTS_PER_ACTOR * actors * micro_batch))
    return [
        Part(shard, start, min(start + size, extent.stop))
        for shard, extent in extents.items()
        for start in range(extent.start, extent.stop, size)
    ]
