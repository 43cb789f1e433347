"""What a stage's Ray job does, in this process: what a job is compared with, at the cost of no worker."""

from typing import Any

import pytest

from flows.shards.blocks import Chain, ReadRows, WriteShard
from flows.shards.model import ModelSpec
from flows.stage import Stage, StageResult, run_stage
from storage import LatentStore


def fill_store(
    store: LatentStore, fingerprints: list[str], prepare: Any, model: ModelSpec, *_resources_and_progress: Any
) -> None:
    """Commit all shards of a new store, one after the other; see ``flows.shards.job.fill_store``."""
    run = Chain(ReadRows(store.url), prepare, model.load("cpu", 1), WriteShard(store.url, fingerprints))
    for shard in range(store.shard_count):
        extent = store.extent(shard)
        run({"shard": [shard], "start": [extent.start], "stop": [extent.stop]})


def run_without_ray(stage: Stage[Any], params: Any) -> StageResult:
    """Run ``encode`` or ``teach`` in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"flows.{stage.name}.fill_store", fill_store)
        return run_stage(stage, params, params.root)
