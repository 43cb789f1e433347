"""A stage made as the real ones are, over the real Ray Data job; only its actor computes next to nothing."""

import time
from dataclasses import asdict
from typing import Any

import numpy as np
from pydantic import BaseModel

from flows.blocks import Block, SeedRows
from flows.progress import Progress
from flows.sharded import fill_store
from flows.stage import Stage, StageResult, Work, run_stage
from storage import ArraySpec, Identity, LatentStore
from storage.index import index_tables

SHAPE = (16, 16, 8)


class Parameters(BaseModel):
    root: str
    shards: int = 16
    shard_rows: int = 8
    seconds: float = 0.05  # that the actor takes for a shard


class Compute:
    """Latents that follow from each row's seed; every ninth row is rejected."""

    def __init__(self, device: str, threads: int, seconds: float) -> None:
        self.seconds = seconds

    def __call__(self, block: Block) -> Block:
        time.sleep(self.seconds)
        noise = [np.random.default_rng(int(seed)).standard_normal(SHAPE) for seed in block["seed"]]
        latents = np.stack(noise).astype(np.float16)
        valid = block["row"] % 9 != 0
        latents[~valid] = np.nan
        reason = np.where(valid, "", "made to be rejected").astype(object)
        text = latents[:, 0, 0, :].copy()
        return {**block, "latents": latents, "text": text, "valid": valid, "reason": reason}


def identify(params: Parameters) -> tuple[Identity, int]:
    made = params.model_dump(exclude={"root", "seconds"})
    return Identity("chaos", 1, {}, made), params.shards


def compute(params: Parameters, work: Work, progress: Progress) -> None:
    count = params.shards * params.shard_rows - 1
    rows = ({"id": f"id-{i}", "caption": f"caption {i}", "uri": f"#{i}", "sha256": ""} for i in range(count))
    arrays = {"latents": ArraySpec.latent(*SHAPE), "text": ArraySpec.vector(SHAPE[-1])}
    provenance: dict[str, Any] = asdict(work.identity)
    tables = index_tables(rows, params.shard_rows)
    store = LatentStore.create(work.url, arrays, tables, shard_rows=params.shard_rows, provenance=provenance)
    fill_store(store, SeedRows(7), Compute, {"seconds": params.seconds}, progress)
    store.seal()


CHAOS = Stage("chaos", identify, compute)


def drive(params: Parameters) -> StageResult:
    """What each driver process does, however often it was killed before."""
    return run_stage(CHAOS, params, params.root)
