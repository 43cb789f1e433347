"""Both training stages over Ray Train, as an interrupted run meets them."""

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from flows.progress import Progress
from flows.stage import StageResult, find_work, plan_stage
from flows.train import TRAIN
from storage import UserError, locations
from storage.checkpoints import find_newest_step, list_complete_steps
from storage.records import hash_object, read_record
from storage.seals import TrainingManifest
from tests.support.teachers import ddim
from tests.support.training_jobs import (
    STEPS,
    distill_job,
    driver,
    kill_after_checkpoint,
    run_job,
    train_job,
    wait_for_checkpoint,
    write_training_store,
)

pytestmark = pytest.mark.usefixtures("ray_local")


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("stores")
    names = {"natural": ["latents"], "taught": ["step_40", "step_50"]}
    urls = {store: write_training_store(str(folder / store), arrays) for store, arrays in names.items()}
    arrays = ["step_40", "step_50", "lead_state", "lead_x0", "tail_state"]
    made: dict[str, Any] = {
        "parameters": {"lead": "31@981..201", "tail": 101},
        "scheduler": dict(ddim("epsilon").config),
    }
    urls["taught with lead"] = write_training_store(str(folder / "lead"), arrays, **made)
    return urls


@pytest.fixture(scope="module")
def trained(
    stores: dict[str, str], tiny_teacher: Path, tmp_path_factory: pytest.TempPathFactory, ray_local: None
) -> StageResult:
    return run_job(train_job(tmp_path_factory.mktemp("runs"), stores["natural"], tiny_teacher))


@pytest.fixture(scope="module")
def distilled(
    trained: StageResult, stores: dict[str, str], tmp_path_factory: pytest.TempPathFactory, ray_local: None
) -> StageResult:
    return run_job(distill_job(tmp_path_factory.mktemp("runs"), stores["taught"], trained.url))


@pytest.mark.parametrize("name", ["train", "distill"])
def test_killed_at_any_step_and_run_again_gives_the_same_bytes(
    name: str, trained: StageResult, distilled: StageResult, stores: dict[str, str], tiny_teacher: Path, tmp_path: Path
) -> None:
    if name == "train":
        undisturbed, job = trained, train_job(tmp_path, stores["natural"], tiny_teacher)
    else:
        undisturbed, job = distilled, distill_job(tmp_path, stores["taught"], trained.url)
    stage, params = job
    url = find_work(stage, params, params.root).url
    assert Path(url).name == undisturbed.fingerprint
    kill_after_checkpoint(job)
    plan = plan_stage(stage, params, params.root)
    assert plan.state == "partial"
    assert 0 < plan.done < STEPS
    assert plan.reason == f"{plan.done} of {STEPS} steps are done"

    assert run_job(job).state == "computed"
    for file in ("diffusion_pytorch_model.safetensors", "config.json", "losses.json"):
        assert (Path(url) / file).read_bytes() == (Path(undisturbed.url) / file).read_bytes(), file
    assert list_complete_steps(url) == [STEPS - 40, STEPS - 20, STEPS]
    assert len(locations.read_json(f"{url}/losses.json")) == STEPS


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_two_drivers_of_the_same_training(
    workers: int, trained: StageResult, stores: dict[str, str], tiny_teacher: Path, tmp_path: Path
) -> None:
    """Each removes the other's checkpoints as soon as it has newer ones, and still both end with the same bytes."""
    _, params = train_job(
        tmp_path, stores["natural"], tiny_teacher, workers=workers, checkpointing_steps=1, checkpoints_total_limit=1
    )
    with driver("train", params) as one, driver("train", params) as other:
        assert [one.wait(), other.wait()] == [0, 0]
    url = find_work(TRAIN, params, params.root).url
    for file in ("diffusion_pytorch_model.safetensors", "config.json", "losses.json"):
        assert (Path(url) / file).read_bytes() == (Path(trained.url) / file).read_bytes(), file
    assert list_complete_steps(url) == [STEPS]


def test_an_interrupted_training_in_this_process_stops_at_its_next_step(
    stores: dict[str, str], tiny_teacher: Path, tmp_path: Path
) -> None:
    stage, params = train_job(tmp_path, stores["natural"], tiny_teacher, steps=100_000)
    work = find_work(stage, params, params.root)
    threads = set(threading.enumerate())
    with ThreadPoolExecutor(1) as thread, ctrl_c(), Progress("train") as progress:
        thread.submit(interrupt_after_a_checkpoint, work.url)
        with pytest.raises(KeyboardInterrupt):
            stage.compute(params, work, progress)
    assert set(threading.enumerate()) <= threads
    assert find_newest_step(work.url) <= progress.done < 100_000
    assert not locations.exists(f"{work.url}/manifest.json")
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
    wait_for_checkpoint(url, lambda: True)
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("crf_input", ["x0", "x0+state"])
def test_a_crf_that_sees_x0_trains_in_both_stages(
    crf_input: str, stores: dict[str, str], tiny_teacher: Path, tmp_path: Path
) -> None:
    crf = {"hidden": 4, "filters": 4, "heads": 2, "crf_input": crf_input, "potentials": "observed"}
    first = run_job(train_job(tmp_path, stores["natural"], tiny_teacher, steps=20, crf=crf))
    last = run_job(distill_job(tmp_path, stores["taught with lead"], first.url, steps=20, observed="lead"))
    config = locations.read_json(f"{last.url}/config.json")
    assert (config["crf_input"], config["lead"], config["tail"]) == (crf_input, "31@981..201", None)
    with pytest.raises(UserError, match=r"expected \['x0_40'\].*teach again with --x0"):
        run_job(distill_job(tmp_path, stores["taught"], first.url, steps=20))


def test_the_config_says_what_the_crf_was_distilled_on(
    trained: StageResult, distilled: StageResult, stores: dict[str, str], tmp_path: Path
) -> None:
    first, last = (locations.read_json(f"{result.url}/config.json") for result in (trained, distilled))
    assert (first["lead"], first["tail"]) == (None, None)
    assert (last["lead"], last["tail"]) == ("31/40", None)
    taught = stores["taught with lead"]
    aimed = run_job(distill_job(tmp_path, taught, trained.url, steps=20, observed="lead", target="tail"))
    config = locations.read_json(f"{aimed.url}/config.json")
    assert (config["lead"], config["tail"]) == ("31@981..201", 101)
    losses = [locations.read_json(f"{result.url}/losses.json")[0]["mse"] for result in (aimed, distilled)]
    assert losses[0] != losses[1]
    with pytest.raises(UserError, match=r"expected \['tail_state'\].*teach again with .*--tail"):
        run_job(distill_job(tmp_path, stores["taught"], trained.url, steps=20, target="tail"))


def test_the_seal_names_what_belongs_to_the_crf(trained: StageResult) -> None:
    manifest = read_record(f"{trained.url}/manifest.json", TrainingManifest)
    assert (manifest.steps, manifest.workers, manifest.provenance["fingerprint"]) == (STEPS, 0, trained.fingerprint)
    assert manifest.objects == {
        name: hash_object(f"{trained.url}/{name}")
        for name in ("config.json", "diffusion_pytorch_model.safetensors", "losses.json")
    }


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
    result = run_job(train_job(root, stores["natural"], tiny_teacher, steps=40))
    assert list_complete_steps(result.url) == [20, 40]
    assert locations.exists(f"{result.url}/diffusion_pytorch_model.safetensors")
    assert locations.list_names(f"{result.url}/tensorboard")


def test_how_a_training_is_run_is_in_no_fingerprint(
    trained: StageResult, stores: dict[str, str], tiny_teacher: Path, tmp_path: Path
) -> None:
    def fingerprint(**options: Any) -> str:
        stage, params = train_job(tmp_path, stores["natural"], tiny_teacher, **options)
        return find_work(stage, params, params.root).identity.fingerprint

    assert fingerprint(workers=3, checkpointing_steps=7, checkpoints_total_limit=1) == trained.fingerprint
    assert fingerprint(batch_size=8) != trained.fingerprint
    assert fingerprint(compile=True) != trained.fingerprint


def test_a_batch_that_cannot_be_shared_out_is_rejected(
    stores: dict[str, str], tiny_teacher: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"batch_size that 6 divides .* found 4; use a multiple of 6"):
        run_job(train_job(tmp_path, stores["natural"], tiny_teacher, workers=3, gradient_accumulation_steps=2))
