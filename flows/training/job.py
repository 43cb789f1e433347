"""What both training stages share: a Ray Train job that goes on from its newest checkpoint, then the seal."""

import threading
from concurrent.futures import Future, wait
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import fsspec

from flows.crf_files import CRF_FILES
from flows.parameters import OptimizerOptions
from flows.progress import Progress
from flows.ray_session import ray_session
from flows.stage import Work, provenance
from storage import UserError, locations
from storage.records import hash_object
from storage.seals import TrainingManifest, seal_output

if TYPE_CHECKING:
    from flows.training.loop import TrainLoop
    from flows.training.objectives import Objective

MAX_FAILURES = 3
SECONDS_BETWEEN_LOOKS = 0.5


def optimize(objective: "Objective", work: Work, progress: Progress) -> None:
    """Train a CRF: write checkpoints, logs, the CRF, losses.json (one record per step) and, last, the seal."""
    check_shares(objective.options)
    objective.check()
    with ray_session() if objective.options.workers else nullcontext():
        diverged = run_showing(objective, work, progress)
    if diverged:
        curves = locations.join(work.url, "tensorboard")
        raise UserError("a training that converges", diverged, f"see the curves in {curves}")
    from flows.report.artifacts import publish_losses

    publish_losses(work.identity.stage, work.url)
    manifest = TrainingManifest(
        objects={name: hash_object(locations.join(work.url, name)) for name in (*CRF_FILES, "losses.json")},
        steps=work.total,
        workers=objective.options.workers,
        provenance=provenance(work),
    )
    seal_output(work.url, manifest)


def check_shares(options: OptimizerOptions) -> None:
    parts = max(1, options.workers) * options.gradient_accumulation_steps
    if options.batch_size % parts:
        raise UserError(
            f"a batch_size that {parts} divides ({options.workers} workers, "
            f"{options.gradient_accumulation_steps} gradient accumulation steps)",
            str(options.batch_size),
            f"use a multiple of {parts}",
        )


def run_showing(objective: "Objective", work: Work, progress: Progress) -> str | None:
    """Run the job and show how far it is; returns what made it diverge, if it did.

    The job waits in a thread, so that Ctrl-C and a cancelled flow run reach this one. They end Ray's
    workers with Ray; a training in this process stops at its next step, before this returns.
    """
    from flows.training.loop import TrainLoop, read_progress

    job: Future[str | None] = Future()
    stopped = threading.Event()
    thread = threading.Thread(target=settle, args=(job, TrainLoop(objective, work.url), stopped), daemon=True)
    thread.start()
    shown, ended = work.done, False
    try:
        while not ended:
            wait([job], SECONDS_BETWEEN_LOOKS)
            ended = job.done()
            now = read_progress(work.url)
            if now.get("step", 0) > shown:
                progress.advance(now["step"] - shown, mse=now["mse"])
                shown = now["step"]
    finally:
        stopped.set()
        if not objective.options.workers:
            thread.join()
    return job.result()


def settle(job: "Future[str | None]", loop: "TrainLoop", stopped: threading.Event) -> None:
    try:
        job.set_result(train_job(loop, stopped))
    except BaseException as error:
        job.set_exception(error)


def train_job(loop: "TrainLoop", stopped: threading.Event) -> str | None:
    """A group of Ray Train workers; a lost one restarts the group at the newest checkpoint."""
    import ray.train
    from pyarrow.fs import FSSpecHandler, PyFileSystem
    from ray.train.torch import TorchTrainer

    fs, path = fsspec.url_to_fs(locations.join(loop.url, "ray"))
    workers = loop.objective.options.workers
    trainer = TorchTrainer(
        loop.run if workers else lambda: loop.run_until(stopped.is_set),  # no event reaches another process
        scaling_config=scaling(workers),
        run_config=ray.train.RunConfig(
            name="train",
            storage_path=path,
            storage_filesystem=PyFileSystem(FSSpecHandler(fs)),
            failure_config=ray.train.FailureConfig(max_failures=MAX_FAILURES),
        ),
    )
    diverged: str | None = trainer.fit().return_value
    return diverged


def scaling(workers: int) -> Any:
    """A GPU a worker where Ray has any; otherwise the cores of a node, shared out. No workers: this process."""
    import ray
    from ray.train import ScalingConfig

    if not workers:
        return ScalingConfig(num_workers=0)
    if gpus := int(ray.cluster_resources().get("GPU", 0)):
        if workers > gpus:
            raise UserError(f"at most {gpus} workers, one a GPU", str(workers), "lower --workers")
        return ScalingConfig(num_workers=workers, use_gpu=True)
    nodes = [node["Resources"]["CPU"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
    cores = min(nodes) / -(-workers // len(nodes))
    return ScalingConfig(num_workers=workers, resources_per_worker={"CPU": int(cores) if cores >= 1 else cores})
