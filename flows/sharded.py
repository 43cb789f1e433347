"""One Ray Data job: read a shard's rows, compute on actors, write the shard. A block is a shard."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from storage import LatentStore

Block = dict[str, Any]


@dataclass(frozen=True)
class Actors:
    """How many model actors, with what each: a GPU, or one CPU core."""

    count: int
    device: str
    gpus: float

    @classmethod
    def available(cls) -> "Actors":
        import ray

        resources = ray.cluster_resources()
        gpus = int(resources.get("GPU", 0))
        return cls(gpus, "cuda", 1) if gpus else cls(max(1, int(resources["CPU"])), "cpu", 0)


class ReadRows:
    """{shard} -> the shard's index rows, as columns."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __call__(self, block: Block) -> Block:
        [shard] = block["shard"]
        store = LatentStore.open(self.url, allow_unsealed=True)
        table = store.rows(int(shard))
        extent = store.extent(int(shard))
        columns = {name: np.array(table[name].to_pylist(), dtype=object) for name in ("id", "caption", "uri")}
        count = extent.stop - extent.start
        return {
            "row": np.arange(extent.start, extent.stop),
            "started": np.full(count, time.time()),
            "valid": np.ones(count, dtype=bool),
            "reason": np.full(count, "", dtype=object),
            "seed": np.zeros(count, dtype=np.uint64),
            **columns,
        }


class WriteShard:
    """A computed block -> the shard and its commit record; returns the shard's number."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __call__(self, block: Block) -> Block:
        store = LatentStore.resume(self.url)
        shard = int(block["row"][0]) // store.shard_rows
        extent = store.extent(shard)
        if list(block["row"]) != list(range(extent.start, extent.stop)):
            raise ValueError(f"a block is not shard {shard} of {self.url}; was target_max_block_size changed?")
        valid = np.asarray(block["valid"], dtype=bool)
        store.write_shard(
            shard,
            {name: block[name] for name in store.names},
            valid=valid,
            seed=block["seed"],
            rejected={int(row): str(block["reason"][i]) for i, row in enumerate(block["row"]) if not valid[i]},
            timing={"seconds": time.time() - float(block["started"][0])},
        )
        return {"shard": np.array([shard])}


def compute_shards(
    store: LatentStore, shards: list[int], prepare: Any, actor_class: type, actor_arguments: dict[str, Any]
) -> Iterator[int]:
    """Yields each shard's number once it is committed.

    ``prepare`` is a callable from index columns to what the actor needs. A task that keeps
    failing ends the job: its shard stays uncommitted, all others are kept.
    """
    import ray.data

    actors = Actors.available()
    dataset = (
        ray.data.from_items([{"shard": shard} for shard in shards], override_num_blocks=len(shards))
        .map_batches(Chain(ReadRows(store.url), prepare), batch_size=None, num_cpus=0.25, max_retries=2)
        .map_batches(
            actor_class,
            fn_constructor_kwargs={**actor_arguments, "device": actors.device, "threads": 1},
            batch_size=None,
            compute=ray.data.ActorPoolStrategy(size=min(actors.count, len(shards))),
            num_cpus=0.5,
            num_gpus=actors.gpus,
        )
        .map_batches(WriteShard(store.url), batch_size=None, num_cpus=0.25, max_retries=2)
    )
    for row in dataset.iter_rows():
        yield int(row["shard"])


class Chain:
    """One operator from two functions, so that Ray moves no block between them."""

    def __init__(self, *functions: Any) -> None:
        self.functions = functions

    def __call__(self, block: Block) -> Block:
        for function in self.functions:
            block = function(block)
        return block
