"""Fill a store by a Ray Data job: read a shard's rows, compute on model actors, write the shard."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from flows.parameters.running import Resources
from flows.progress import Progress
from flows.ray_session import ray_session
from flows.shards.blocks import Chain, ReadRows, WriteShard
from flows.shards.model import Model, ModelSpec
from flows.stage import Work, describe_provenance
from storage import ArraySpec, LatentStore
from storage.identity import check_unchanged
from storage.inputs.rows import Row
from storage.model_files.folders import pin
from storage.store.index import index_tables
from storage.store.reuse import copy_shards

# When a node is lost, its actors start again on those that are left, until no more fit. Two actors never fill a core:
# the tasks that read and write shards find room beside them, or the job would wait for ever.
ACTOR_CPUS, TASK_CPUS = 0.49, 0.01


@dataclass(frozen=True)
class Actors:
    """The model actors of a job: how many, and the device and number of GPUs of each.

    ``tasks``: how many shards are read, or written, at once.
    """

    count: int
    device: str
    gpus: float
    tasks: int

    @classmethod
    def choose(cls, resources: Resources) -> "Actors":
        """Choose as asked for; what is not, from what Ray has now."""
        import ray

        alive = ray.cluster_resources()
        gpus, cpus = int(alive.get("GPU", 0)), max(1, int(alive.get("CPU", 1)))
        if resources.device == "cuda" or (resources.device == "auto" and gpus):
            return cls(resources.actors or max(1, gpus), "cuda", 1, tasks=cpus)
        return cls(resources.actors or cpus, "cpu", 0, tasks=cpus)


def create_store(
    work: Work, arrays: dict[str, ArraySpec], row_set: str, rows: Iterable[Row], **provenance: Any
) -> LatentStore:
    """Create a stage's store, or open what an interrupted run left of it.

    Raises UserError if ``rows`` are no longer those of the input ``row_set`` of the store's identity.
    """
    shard_rows = work.identity.parameters["shard_rows"]
    return LatentStore.create(
        work.url,
        arrays,
        index_tables(check_unchanged(rows, work.identity.inputs[row_set]), shard_rows),
        shard_rows=shard_rows,
        provenance=describe_provenance(work, **provenance),
    )


def fill_store(
    store: LatentStore,
    fingerprints: list[str],
    prepare: Any,
    model: ModelSpec,
    resources: Resources,
    progress: Progress,
) -> None:
    """Commit every missing shard: copy it if an older output has it, otherwise compute it.

    If a task keeps failing, the job ends with its error, and all committed shards are kept.

    Args:
        store: The store to fill.
        fingerprints: The fingerprint of each shard of the store.
        prepare: Maps the rows' index columns to the columns that the model takes.
        model: The model to compute with.
        resources: What to compute on.
        progress: Counts shards.
    """
    for _ in copy_shards(store, fingerprints):
        progress.advance()
    shards = sorted(set(range(store.shard_count)) - store.committed())
    if not shards:  # all copied, or an earlier run ended before the seal
        return
    with ray_session():
        for _ in commit_shards(store, shards, fingerprints, prepare, model, resources):
            progress.advance()


def commit_shards(
    store: LatentStore,
    shards: list[int],
    fingerprints: list[str],
    prepare: Any,
    model: ModelSpec,
    resources: Resources,
) -> Iterator[dict[str, Any]]:
    """Compute and commit shards; yield a record per committed shard."""
    import ray.data

    actors = Actors.choose(resources)
    # All actors load the same files, even if the hub's branch moves meanwhile.
    model = replace(model, folders={name: pin(url) for name, url in model.folders.items()})
    tasks = min(actors.tasks, len(shards))  # more than there are blocks, and Ray Data warns
    dataset = (
        ray.data.from_items([{"shard": shard} for shard in shards], override_num_blocks=len(shards))
        .map_batches(Chain(ReadRows(store.url), prepare), batch_size=None, num_cpus=TASK_CPUS, concurrency=tasks)
        # The public map_batches refuses GPUs without a batch size, and any batch size may join two shards.
        .map_batches_internal(
            Model,
            fn_constructor_kwargs={"spec": model, "device": actors.device, "threads": 1},
            batch_size=None,
            compute=ray.data.ActorPoolStrategy(size=min(actors.count, len(shards))),
            num_cpus=ACTOR_CPUS,
            num_gpus=actors.gpus,
        )
        .map_batches(WriteShard(store.url, fingerprints), batch_size=None, num_cpus=TASK_CPUS, concurrency=tasks)
    )
    yield from dataset.iter_rows()
