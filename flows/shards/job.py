"""One Ray Data job: read a shard's rows, compute on actors, write the shard. A block is a shard."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flows.progress import Progress
from flows.ray_session import ray_session
from flows.shards.blocks import Chain, Model, ReadRows, WriteShard
from storage import LatentStore
from storage.store.reuse import copy_shards


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


def fill_store(
    store: LatentStore,
    fingerprints: list[str],
    prepare: Any,
    model: str,
    model_arguments: dict[str, Any],
    progress: Progress,
) -> None:
    """Commit every shard that is not committed yet: copied where an older store has it, else computed.

    ``fingerprints``: of all shards. ``prepare`` is a callable from index columns to what the model
    needs; ``model`` is "module:class", as ``Model`` takes it. A task that keeps failing ends the job:
    its shard stays uncommitted, all others are kept.
    """
    for _ in copy_shards(store, fingerprints):
        progress.advance()
    shards = sorted(set(range(store.shard_count)) - store.committed())
    if not shards:  # all copied, or the last driver ended before it sealed
        return
    with ray_session():
        for _ in committed_shards(store, shards, fingerprints, prepare, model, model_arguments):
            progress.advance()


def committed_shards(
    store: LatentStore,
    shards: list[int],
    fingerprints: list[str],
    prepare: Any,
    model: str,
    model_arguments: dict[str, Any],
) -> Iterator[dict[str, Any]]:
    """A record for each shard once it is committed."""
    import ray.data

    actors = Actors.available()
    dataset = (
        ray.data.from_items([{"shard": shard} for shard in shards], override_num_blocks=len(shards))
        .map_batches(Chain(ReadRows(store.url), prepare), batch_size=None, num_cpus=0.25)
        .map_batches(
            Model,
            fn_constructor_kwargs={"name": model, **model_arguments, "device": actors.device, "threads": 1},
            batch_size=None,
            compute=ray.data.ActorPoolStrategy(size=min(actors.count, len(shards))),
            num_cpus=0.5,
            num_gpus=actors.gpus,
        )
        .map_batches(WriteShard(store.url, fingerprints), batch_size=None, num_cpus=0.25)
    )
    yield from dataset.iter_rows()
