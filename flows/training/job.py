"""Train a CRF, in either training stage: a Ray Train job that resumes from its newest checkpoint, then the seal."""

import logging
import threading
from concurrent.futures import Future, wait
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import fsspec

from flows.parameters.running import Resources
from flows.parameters.training import OptimizerOptions
from flows.progress import Progress
from flows.ray_session import ray_session
from flows.runs.limits import occupy_gpus
from flows.stage import Work, describe_provenance
from flows.training.crf_files import CRF_FILES
from flows.workers.collecting import collect_reports
from storage import UserError, locations
from storage.records import hash_object
from storage.seals import TrainingManifest, seal_output

if TYPE_CHECKING:
    from flows.training.loop import TrainLoop
    from flows.training.objectives import Objective

MAX_FAILURES = 3
POLL_SECONDS = 0.5


def optimize(objective: "Objective", work: Work, progress: Progress) -> None:
    """Train a CRF: write checkpoints, logs, the CRF, losses.json (one record per step) and finally the seal.

    Raises UserError if the training diverges.
    """
    with ray_session() if objective.options.workers else nullcontext():
        divergence = train_and_show_progress(objective, work, progress)
    if divergence:
        curves = locations.join(work.url, "tensorboard")
        raise UserError("a training that converges", divergence, f"see the curves in {curves}")
    from flows.report.artifacts import publish_losses

    publish_losses(work.identity.stage, work.url)
    manifest = TrainingManifest(
        objects={name: hash_object(locations.join(work.url, name)) for name in (*CRF_FILES, "losses.json")},
        steps=work.total,
        workers=objective.options.workers,
        provenance=describe_provenance(work),
    )
    seal_output(work.url, manifest)


def check_objective(objective: "Objective") -> None:
    """Raise UserError if the objective's options or inputs cannot work."""
    check_batch_size(objective.options)
    objective.check()


def check_batch_size(options: OptimizerOptions) -> None:
    """Raise UserError if a batch cannot be divided among the workers and their gradient accumulation steps."""
    parts = max(1, options.workers) * options.gradient_accumulation_steps
    if options.batch_size % parts:
        raise UserError(
            f"a batch_size that {parts} divides ({options.workers} workers, "
            f"{options.gradient_accumulation_steps} gradient accumulation steps)",
            str(options.batch_size),
            f"use a multiple of {parts}",
        )


def train_and_show_progress(objective: "Objective", work: Work, progress: Progress) -> str | None:
    """Run the job and show its progress; return what diverged, or None.

    The job runs in another thread, so that this one receives Ctrl-C and cancellation. Either ends Ray and its
    workers; without workers, the training stops at its next step before this function returns.
    """
    from flows.training.loop import TrainLoop

    progress.start(work.done, work.total, "steps")
    if not objective.options.workers:
        return run_beside(TrainLoop(objective, work.url, lambda step, figures: progress.reach(step, **figures)))
    with collect_reports(lambda reported: progress.reach(reported.step, **reported.figures)) as reporter:
        return run_beside(TrainLoop(objective, work.url, reporter.show_step, reporter))


def run_beside(loop: "TrainLoop") -> str | None:
    """Run the job in another thread, and wait for it; return what diverged, or None."""
    job: Future[str | None] = Future()
    stopped = threading.Event()
    thread = threading.Thread(target=run_job, args=(job, loop, stopped), daemon=True)
    thread.start()
    try:
        while not job.done():
            wait([job], POLL_SECONDS)
    finally:
        stopped.set()
        if not loop.objective.options.workers:
            thread.join()
    return job.result()


def run_job(job: "Future[str | None]", loop: "TrainLoop", stopped: threading.Event) -> None:
    """Run the job and put its return value or its error in the future."""
    try:
        job.set_result(run_train_job(loop, stopped))
    except BaseException as error:
        job.set_exception(error)


def run_train_job(loop: "TrainLoop", stopped: threading.Event) -> str | None:
    """Run the loop on Ray Train; return what diverged, or None.

    If a worker dies, Ray restarts all of them, and they resume from the newest checkpoint.
    """
    import ray.train
    from pyarrow.fs import FSSpecHandler, PyFileSystem
    from ray.train.torch import TorchTrainer

    logging.getLogger("ray.train").setLevel(logging.WARNING)  # its news would stand in the progress bar
    fs, path = fsspec.url_to_fs(locations.join(loop.url, "ray"))
    workers = loop.objective.options.workers
    scaling = choose_scaling(workers, loop.objective.options.resources)
    trainer = TorchTrainer(
        loop.run if workers else lambda: loop.run_until(stopped.is_set),  # an event does not reach other processes
        scaling_config=scaling,
        run_config=ray.train.RunConfig(
            name="train",
            storage_path=path,
            storage_filesystem=PyFileSystem(FSSpecHandler(fs)),
            failure_config=ray.train.FailureConfig(max_failures=MAX_FAILURES),
        ),
    )
    with occupy_gpus(workers if scaling.use_gpu else 0):
        divergence: str | None = trainer.fit().return_value
    return divergence


def choose_scaling(workers: int, resources: Resources) -> Any:
    """Give each worker a GPU or, if none are asked for and Ray has none, an equal share of its node's cores.

    0 workers: train in this process. Raises UserError if Ray is to use what GPUs it has, and has fewer than workers.
    """
    import ray
    from ray.train import ScalingConfig

    if not workers:
        return ScalingConfig(num_workers=0)
    gpus = int(ray.cluster_resources().get("GPU", 0))
    if resources.uses_gpus(gpus):
        if resources.device == "auto" and not resources.accelerator and workers > gpus:
            advice = "lower --workers or, if the cluster can add nodes, set device: cuda in resources"
            raise UserError(f"at most {gpus} workers, one per GPU", str(workers), advice)
        return ScalingConfig(num_workers=workers, use_gpu=True, label_selector=resources.labels or None)
    nodes = [node["Resources"]["CPU"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
    cores = min(nodes) / -(-workers // len(nodes)) if nodes else 1  # without a node, one core is asked for
    return ScalingConfig(num_workers=workers, resources_per_worker={"CPU": int(cores) if cores >= 1 else cores})
