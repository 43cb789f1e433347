"""What a stage's Ray job does, in this process: what a job is compared with, at the cost of no worker."""

from typing import Any

import numpy as np
import pytest

from flows.shards.blocks import Chain, ReadRows, WriteShard
from flows.shards.model import Block, ModelSpec
from flows.stage import Stage, StageResult, run_stage
from storage import LatentStore


def fill_store(
    store: LatentStore, fingerprints: list[str], prepare: Any, model: ModelSpec, *_resources_and_progress: Any
) -> None:
    """Commit all shards of a new store, one after the other; see ``flows.shards.job.fill_store``."""
    compute = model.load("cpu", 1)
    run = Chain(ReadRows(store.url), prepare, compute, leave_untimed, WriteShard(store.url, fingerprints))
    for shard in range(store.shard_count):
        extent = store.extent(shard)
        run({"shard": [shard], "start": [extent.start], "stop": [extent.stop]})


def leave_untimed(block: Block) -> Block:
    """Add the column that an actor times its blocks by."""
    return {**block, "device_seconds": np.zeros(len(block["row"]))}


def run_without_ray(stage: Stage[Any], params: Any) -> StageResult:
    """Run ``encode`` or ``teach`` in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"flows.{stage.name}.fill_store", fill_store)
        return run_stage(stage, params, params.root)
