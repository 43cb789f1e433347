"""Fill a store by a Ray Data job: read a shard's rows, compute on model actors, write the shard."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from typing import Any

from crf.stages.micro_batches import MICRO_BATCH
from flows.parameters.running import Resources
from flows.progress import Progress
from flows.ray_session import ray_session
from flows.runs.limits import occupy_gpus
from flows.shards.actors import ACTOR_CPUS, TASK_CPUS, Actors
from flows.shards.blocks import Chain, ReadRows, WriteShard
from flows.shards.model import Model, ModelSpec
from flows.shards.parts import divide
from flows.shards.tracebacks import drop_tracebacks
from flows.stage import Work, describe_provenance
from flows.workers.collecting import collect_reports
from flows.workers.reports import Reporter, Snapshot
from storage import ArraySpec, LatentStore
from storage.identity import check_unchanged
from storage.inputs.rows import Row
from storage.model_files.folders import pin
from storage.store.index import index_tables
from storage.store.reuse import copy_shards

# Of each actor. Another number may move the last bits of a matrix product: with the demo's teacher on a CPU, 1, 2 and
# 4 threads agree, and 3 differ. So no more actors than micro-batches can work, and the cores beyond them are idle.
THREADS = 1
# Of one block, and restarts of one actor, not counting those after its node was preempted. One more fails the job: the
# block, or loading the model, may be what kills the workers.
RETRIES = 5
# Of a call to an actor. While its node does not answer, there is one each second, until Ray takes the node for dead: up
# to a minute. What kills the actor itself is bounded by its restarts.
CALL_RETRIES = 300


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
        progress: Counts rows.
    """
    count = RowCount(store, progress)
    for shard in copy_shards(store, fingerprints):
        count.commit(shard)
    shards = sorted(set(range(store.shard_count)) - store.committed())
    if not shards:  # all copied, or an earlier run ended before the seal
        return
    from ray.exceptions import RayError

    try:
        with ray_session(), collect_reports(count.show) as reporter:
            for shard in commit_shards(store, shards, fingerprints, prepare, model, resources, reporter):
                count.commit(shard)
    except RayError as error:
        drop_tracebacks(error)
        raise


class RowCount:
    """The rows of a store that are committed, and those of other shards that a worker has done."""

    def __init__(self, store: LatentStore, progress: Progress) -> None:
        self._store, self._progress = store, progress
        self._committed = store.committed()
        self._rows = sum(map(self._count_rows, self._committed))
        progress.start(self._rows, len(store), "rows")

    def commit(self, shard: int) -> None:
        self._committed.add(shard)
        self._rows += self._count_rows(shard)
        self._progress.reach(self._rows)

    def show(self, reported: Snapshot) -> None:
        """Show the rows that were reported beside those that are committed."""
        shard_rows = self._store.shard_rows
        waiting = (rows for first, rows in reported.rows.items() if first // shard_rows not in self._committed)
        self._progress.reach(self._rows + sum(waiting))

    def _count_rows(self, shard: int) -> int:
        extent = self._store.extent(shard)
        return int(extent.stop - extent.start)


def commit_shards(
    store: LatentStore,
    shards: list[int],
    fingerprints: list[str],
    prepare: Any,
    model: ModelSpec,
    resources: Resources,
    reporter: Reporter,
) -> Iterator[int]:
    """Compute and commit shards; yield the number of each that is committed."""
    import ray.data

    actors = Actors.choose(resources, ray.cluster_resources())
    # All actors load the same files, even if the hub's branch moves meanwhile.
    model = replace(model, folders={name: pin(url) for name, url in model.folders.items()})
    parts = divide(store, shards, actors.count, model.arguments.get("micro_batch", MICRO_BATCH))
    divided, pool = len(parts) > len(shards), min(actors.count, len(parts))
    # Of more tasks than there are blocks, Ray Data warns.
    readers, writers = (ray.data.TaskPoolStrategy(min(actors.tasks, len(blocks))) for blocks in (parts, shards))
    # The public map_batches refuses GPUs without a batch size, and any batch size may join two shards. It also warns of
    # max_retries and its like, for which it has no parameters yet.
    dataset = (
        ray.data.from_items([asdict(part) for part in parts], override_num_blocks=len(parts))
        .map_batches_internal(
            Chain(ReadRows(store.url), prepare, reporter=reporter),
            batch_size=None,
            compute=readers,
            num_cpus=TASK_CPUS,
            max_retries=RETRIES,
        )
        .map_batches_internal(
            Model,
            fn_constructor_kwargs={"spec": model, "device": actors.device, "threads": THREADS, "reporter": reporter},
            batch_size=None,
            compute=ray.data.ActorPoolStrategy(size=pool),
            num_cpus=ACTOR_CPUS,
            num_gpus=actors.gpus,
            label_selector=actors.labels,
            max_restarts=RETRIES,
            max_task_retries=CALL_RETRIES,
        )
        # In order, the parts of a shard follow each other: so many rows are a shard, and only the last is shorter.
        .map_batches_internal(
            WriteShard(store.url, fingerprints, reporter),
            batch_size=store.shard_rows if divided else None,
            compute=writers,
            num_cpus=TASK_CPUS,
            max_retries=RETRIES,
        )
    )
    dataset.context.execution_options.preserve_order = divided
    with occupy_gpus(pool * actors.gpus):
        for record in dataset.iter_rows():
            yield int(record["shard"])
