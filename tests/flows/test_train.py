"""Both training stages over Ray Train, as an interrupted run meets them."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from flows.distill import DISTILL
from flows.parameters import DistillParameters, TrainParameters
from flows.stage import Stage, StageResult, find_work, plan_stage, run_stage
from flows.train import TRAIN
from storage import ArraySpec, LatentStore, UserError, locations
from storage.checkpoints import complete_steps, newest_step
from storage.store.index import index_tables

pytestmark = pytest.mark.usefixtures("ray_local")
STEPS = 120
Job = tuple[Stage[Any], Any]


def write_store(url: str, names: list[str], bad_row: int | None = None) -> str:
    """24 rows of 4x4x8 latents and text, in shards of 4; one row can hold what is no number."""
    rows = ({"id": str(i), "caption": "", "uri": "", "sha256": ""} for i in range(24))
    arrays = {**dict.fromkeys(names, ArraySpec.latent(4, 4, 8)), "text": ArraySpec.vector(16)}
    store = LatentStore.create(url, arrays, index_tables(rows, 4), shard_rows=4, provenance={})
    random = np.random.default_rng(0)
    for shard in range(6):
        extent = store.extent(shard)
        values = {name: random.standard_normal((4, *spec.row_shape)) for name, spec in arrays.items()}
        if bad_row is not None and extent.start <= bad_row < extent.stop:
            values[names[0]][bad_row - extent.start] = np.nan
        store.write_shard(shard, values, valid=np.ones(4, bool), seed=np.zeros(4), rejected={}, timing={})
    store.seal()
    return url


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("stores")
    names = {"natural": ["latents"], "taught": ["step_40", "step_50"]}
    names["taught with x0"] = ["step_40", "step_50", "lead_state", "lead_x0"]
    return {store: write_store(str(folder / store), arrays) for store, arrays in names.items()}


def train_job(root: Path | str, stores: dict[str, str], teacher: Path, **options: Any) -> Job:
    crf = {"hidden": 4, "filters": 4, "heads": 2}
    common = {"steps": STEPS, "batch_size": 4, "lr_warmup_steps": 5, "checkpointing_steps": 20, "workers": 0}
    paths = {"latents": stores["natural"], "teacher": str(teacher), "root": str(root)}
    return TRAIN, TrainParameters.model_validate({"crf": crf, **common, **paths, **options})


def distill_job(root: Path | str, stores: dict[str, str], initial: str, **options: Any) -> Job:
    common = {"steps": STEPS, "batch_size": 4, "lr_warmup_steps": 5, "checkpointing_steps": 20, "workers": 0}
    paths = {"pairs": stores["taught"], "initial": initial, "root": str(root)}
    return DISTILL, DistillParameters.model_validate({**common, **paths, **options})


def run(job: Job) -> StageResult:
    stage, params = job
    return run_stage(stage, params, params.root)


@pytest.fixture(scope="module")
def trained(
    stores: dict[str, str], tiny_teacher: Path, tmp_path_factory: pytest.TempPathFactory, ray_local: None
) -> StageResult:
    return run(train_job(tmp_path_factory.mktemp("runs"), stores, tiny_teacher))


@pytest.fixture(scope="module")
def distilled(
    trained: StageResult, stores: dict[str, str], tmp_path_factory: pytest.TempPathFactory, ray_local: None
) -> StageResult:
    return run(distill_job(tmp_path_factory.mktemp("runs"), stores, trained.url))


@pytest.mark.parametrize("name", ["train", "distill"])
def test_killed_at_any_step_and_run_again_gives_the_same_bytes(
    name: str, trained: StageResult, distilled: StageResult, stores: dict[str, str], tiny_teacher: Path, tmp_path: Path
) -> None:
    if name == "train":
        undisturbed, job = trained, train_job(tmp_path, stores, tiny_teacher)
    else:
        undisturbed, job = distilled, distill_job(tmp_path, stores, trained.url)
    stage, params = job
    url = find_work(stage, params, params.root).url
    assert Path(url).name == undisturbed.fingerprint
    with driver(name, params) as process:
        wait_until(lambda: newest_step(url) > 0, lambda: process.poll() is None)
        os.kill(process.pid, signal.SIGKILL)
    plan = plan_stage(stage, params, params.root)
    assert plan.state == "partial"
    assert 0 < plan.done < STEPS
    assert plan.reason == f"{plan.done} of {STEPS} steps are done"

    assert run(job).state == "computed"
    for file in ("diffusion_pytorch_model.safetensors", "config.json", "losses.json"):
        assert (Path(url) / file).read_bytes() == (Path(undisturbed.url) / file).read_bytes(), file
    assert complete_steps(url) == [STEPS - 40, STEPS - 20, STEPS]
    assert len(locations.read_json(f"{url}/losses.json")) == STEPS


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_two_drivers_of_the_same_training(
    workers: int, trained: StageResult, stores: dict[str, str], tiny_teacher: Path, tmp_path: Path
) -> None:
    """Each removes the other's checkpoints as soon as it has newer ones, and still both end with the same bytes."""
    _, params = train_job(
        tmp_path, stores, tiny_teacher, workers=workers, checkpointing_steps=1, checkpoints_total_limit=1
    )
    with driver("train", params) as one, driver("train", params) as other:
        assert [one.wait(250), other.wait(250)] == [0, 0]
    url = find_work(TRAIN, params, params.root).url
    for file in ("diffusion_pytorch_model.safetensors", "config.json", "losses.json"):
        assert (Path(url) / file).read_bytes() == (Path(trained.url) / file).read_bytes(), file
    assert complete_steps(url) == [STEPS]


@contextmanager
def driver(name: str, params: Any) -> Iterator["subprocess.Popen[bytes]"]:
    """The stage in a process of its own, for as long as the block runs."""
    parameters = type(params).__name__
    code = (
        f"from flows.parameters import {parameters}\nfrom flows.stage import run_stage\n"
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


def wait_until(true: Callable[[], bool], alive: Callable[[], bool], seconds: float = 200) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert alive(), "the training ended before it was disturbed"
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_an_interrupted_training_in_this_process_stops_at_its_next_step(
    stores: dict[str, str], tiny_teacher: Path, tmp_path: Path
) -> None:
    job = train_job(tmp_path, stores, tiny_teacher, steps=100_000)
    stage, params = job
    url = find_work(stage, params, params.root).url
    threads = set(threading.enumerate())
    with ThreadPoolExecutor(1) as thread, ctrl_c():
        thread.submit(interrupt_after_a_checkpoint, url)
        with pytest.raises(KeyboardInterrupt):
            run(job)
        reached = locations.read_json(f"{url}/progress.json")["step"]
    assert newest_step(url) <= reached < 100_000
    assert not locations.exists(f"{url}/manifest.json")
    time.sleep(0.3)  # some fifteen steps
    assert locations.read_json(f"{url}/progress.json")["step"] == reached
    assert set(threading.enumerate()) <= threads
    assert plan_stage(stage, params, params.root).state == "partial"


@contextmanager
def ctrl_c() -> Iterator[None]:
    """SIGINT raises KeyboardInterrupt, as in a terminal."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def interrupt_after_a_checkpoint(url: str) -> None:
    wait_until(lambda: newest_step(url) > 0, lambda: True)
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("crf_input", ["x0", "x0+state"])
def test_a_crf_that_sees_x0_trains_in_both_stages(
    crf_input: str, stores: dict[str, str], tiny_teacher: Path, tmp_path: Path
) -> None:
    crf = {"hidden": 4, "filters": 4, "heads": 2, "crf_input": crf_input, "potentials": "observed"}
    first = run(train_job(tmp_path, stores, tiny_teacher, steps=20, crf=crf))
    there = {**stores, "taught": stores["taught with x0"]}
    last = run(distill_job(tmp_path, there, first.url, steps=20, observed="inference"))
    assert locations.read_json(f"{last.url}/config.json")["crf_input"] == crf_input
    with pytest.raises(UserError, match=r"expected \['x0_40'\].*teach again with --x0"):
        run(distill_job(tmp_path, stores, first.url, steps=20))


def test_what_is_no_number_stops_the_run_and_is_named(tiny_teacher: Path, tmp_path: Path) -> None:
    bad = {"natural": write_store(str(tmp_path / "bad"), ["latents"], bad_row=17)}
    with pytest.raises(UserError, match=r"step \d: .* mse nan.*rows \[17\] hold values that are no numbers; verify"):
        run(train_job(tmp_path, bad, tiny_teacher, adversarial_weight=0))


def test_curves_and_samples_are_in_tensorboard(trained: StageResult) -> None:
    events = EventAccumulator(f"{trained.url}/tensorboard").Reload()
    scalars = {"mse", "adversarial", "discriminator", "gradient_norm", "learning_rate"}
    assert set(events.Tags()["scalars"]) == scalars
    assert [event.step for event in events.Scalars("mse")] == list(range(1, STEPS + 1))
    [images] = events.Tags()["images"]
    [*_, newest] = events.Images(images)
    assert (newest.step, newest.width, newest.height) == (STEPS, 3 * 4, 4 * 4)


def test_on_object_storage(stores: dict[str, str], tiny_teacher: Path, gcs_root: str) -> None:
    root = f"{gcs_root}/trained"
    result = run(train_job(root, stores, tiny_teacher, steps=40))
    assert complete_steps(result.url) == [20, 40]
    assert locations.exists(f"{result.url}/diffusion_pytorch_model.safetensors")
    assert locations.list_names(f"{result.url}/tensorboard")


def test_how_a_training_is_run_is_in_no_fingerprint(
    trained: StageResult, stores: dict[str, str], tiny_teacher: Path, tmp_path: Path
) -> None:
    def fingerprint(**options: Any) -> str:
        stage, params = train_job(tmp_path, stores, tiny_teacher, **options)
        return find_work(stage, params, params.root).identity.fingerprint

    assert fingerprint(workers=3, checkpointing_steps=7, checkpoints_total_limit=1) == trained.fingerprint
    assert fingerprint(batch_size=8) != trained.fingerprint
    assert fingerprint(compile=True) != trained.fingerprint


def test_a_batch_that_cannot_be_shared_out_is_refused(
    stores: dict[str, str], tiny_teacher: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"batch_size that 6 divides .* found 4; use a multiple of 6"):
        run(train_job(tmp_path, stores, tiny_teacher, workers=3, gradient_accumulation_steps=2))
