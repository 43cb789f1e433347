"""A stage that runs the real Ray Data job like the others, with an actor that computes next to nothing."""

import os
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from pydantic import BaseModel

from flows.parameters.running import Resources
from flows.progress import Progress
from flows.shards.blocks import SeedRows
from flows.shards.job import fill_store
from flows.shards.model import ModelSpec
from flows.stage import Stage, StageResult, Target, Work, run_stage
from storage import ArraySpec, Identity, LatentStore
from storage.identity import fingerprint_rows
from storage.store.index import index_tables
from tests.support import without_ray
from tests.support.chaos.compute import SHAPE

RUN_SEED = 7
MODELS = "tests.support.chaos.compute"


class Parameters(BaseModel):
    root: str
    shards: int = 24
    shard_rows: int = 8
    seconds: float = 0.1  # that the actor takes for a shard
    model: str = "Compute"  # of the same module
    arguments: dict[str, str] = {}  # of another model
    resources: Resources = Resources()

    @property
    def url(self) -> str:
        return identify(self).identity.url(self.root)

    def rows(self) -> Iterator[dict[str, str]]:
        for i in range(self.shards * self.shard_rows - 1):
            yield {"id": f"id-{i}", "caption": f"caption {i}", "uri": f"#{i}", "checksum": "", "reason": ""}


def identify(params: Parameters) -> Target:
    made = params.model_dump(include={"shards", "shard_rows"})
    rows = fingerprint_rows(params.rows(), params.shard_rows)
    return Target.store(Identity("chaos", 1, {"rows": rows.fingerprint}, made), rows, "rows")


def create(params: Parameters, work: Work) -> LatentStore:
    arrays = {"latents": ArraySpec.latent(*SHAPE), "text": ArraySpec.vector(SHAPE[-1])}
    provenance: dict[str, Any] = asdict(work.identity)
    tables = index_tables(params.rows(), params.shard_rows)
    return LatentStore.create(work.url, arrays, tables, shard_rows=params.shard_rows, provenance=provenance)


def compute(params: Parameters, work: Work, progress: Progress) -> None:
    store = create(params, work)
    arguments = {"seconds": params.seconds, **params.arguments}
    model = ModelSpec(f"{MODELS}:{params.model}", arguments)
    fill_store(store, work.shards, SeedRows(RUN_SEED), model, params.resources, progress)
    store.seal()


def compute_without_ray(params: Parameters, work: Work, progress: Progress) -> None:
    """Compute one shard after the other in this process, where nothing disturbs it."""
    store = create(params, work)
    without_ray.fill_store(store, work.shards, SeedRows(RUN_SEED), ModelSpec(f"{MODELS}:Compute", {"seconds": 0}))
    store.seal()


CHAOS = Stage("chaos", identify, compute)
CALM = Stage("chaos", identify, compute_without_ray)


def drive(params: Parameters, address: str | None) -> StageResult:
    """Run the stage in a driver process, whether or not it was killed before. Without an address it starts a Ray."""
    with open(f"{params.root}.log", "ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    os.environ.pop("RAY_ADDRESS", None)
    if address:
        os.environ["RAY_ADDRESS"] = address
    return run_stage(CHAOS, params, params.root)
