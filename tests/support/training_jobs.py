"""Short trainings over small stores."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from flows.distill import DISTILL
from flows.parameters.training import DistillParameters, TrainParameters
from flows.stage import Stage, StageResult, find_work, run_stage
from flows.train import TRAIN
from storage import ArraySpec, LatentStore
from storage.checkpoints import find_newest_step
from storage.store.index import index_tables

STEPS = 120
COMMON = {"steps": STEPS, "batch_size": 4, "lr_warmup_steps": 5, "checkpointing_steps": 20, "workers": 0}
Job = tuple[Stage[Any], Any]


def write_training_store(url: str, names: list[str], bad_row: int | None = None, **provenance: Any) -> str:
    """Write 24 rows of 4x4x8 latents and text in shards of 4; the latents of ``bad_row`` are NaN. Return the URL."""
    rows = ({"id": str(i), "caption": "", "uri": "", "checksum": "", "reason": ""} for i in range(24))
    arrays = {**dict.fromkeys(names, ArraySpec.latent(4, 4, 8)), "text": ArraySpec.vector(16)}
    store = LatentStore.create(url, arrays, index_tables(rows, 4), shard_rows=4, provenance=provenance)
    random = np.random.default_rng(0)
    for shard in range(6):
        extent = store.extent(shard)
        values = {name: random.standard_normal((4, *spec.row_shape)) for name, spec in arrays.items()}
        if bad_row is not None and extent.start <= bad_row < extent.stop:
            values[names[0]][bad_row - extent.start] = np.nan
        store.write_shard(shard, values, valid=np.ones(4, bool), seed=np.zeros(4), rejected={}, timing={})
    store.seal()
    return url


def train_job(root: Path | str, latents: str, teacher: Path, **options: Any) -> Job:
    """Return the stage ``train`` and its parameters."""
    crf = {"hidden": 4, "filters": 4, "heads": 2}
    paths = {"latents": latents, "teacher": str(teacher), "root": str(root)}
    return TRAIN, TrainParameters.model_validate({"crf": crf, **COMMON, **paths, **options})


def distill_job(root: Path | str, pairs: str, initial: str, **options: Any) -> Job:
    """Return the stage ``distill`` and its parameters."""
    paths = {"pairs": pairs, "initial": initial, "root": str(root)}
    return DISTILL, DistillParameters.model_validate({**COMMON, **paths, **options})


def run_job(job: Job) -> StageResult:
    stage, params = job
    return run_stage(stage, params, params.root)


def wait_for_checkpoint(url: str, is_running: Callable[[], bool], seconds: float = 900) -> None:
    """Wait for a training's first checkpoint; fail if the training ends before it."""
    deadline = time.monotonic() + seconds
    while find_newest_step(url) == 0:
        assert is_running(), "the training ended before its first checkpoint was seen"
        assert time.monotonic() < deadline, f"no checkpoint after {seconds} s"
        time.sleep(0.02)


@contextmanager
def driver(name: str, params: Any) -> Iterator["subprocess.Popen[bytes]"]:
    """The stage in a process of its own, for as long as the block runs."""
    parameters = type(params).__name__
    code = (
        f"from flows.parameters.training import {parameters}\nfrom flows.stage import run_stage\n"
        f"from flows.{name} import {name.upper()}\n"
        f"p = {parameters}(**{params.model_dump()!r})\nrun_stage({name.upper()}, p, p.root)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def kill_after_checkpoint(job: Job) -> None:
    """Run a training in a process of its own, and kill it after its first checkpoint."""
    stage, params = job
    url = find_work(stage, params, params.root).url
    with driver(stage.name, params) as process:
        wait_for_checkpoint(url, lambda: process.poll() is None)
        os.kill(process.pid, signal.SIGKILL)
