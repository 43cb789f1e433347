"""Training over real Ray Train workers: one is killed, and the bytes are those of a run that nobody disturbed."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from flows.stage import StageResult, find_work
from storage import locations
from storage.checkpoints import find_newest_step
from tests.support.training_jobs import Job, run_job, train_job, wait_for_checkpoint, write_training_store

pytestmark = pytest.mark.usefixtures("ray_local")
# Long enough to be killed after its first checkpoint.
STEPS = 150


def disturbed(job: Job, workers: int) -> StageResult:
    """Run the job, and kill its last worker once there is a checkpoint."""
    stage, params = job
    url = find_work(stage, params, params.root).url
    with ThreadPoolExecutor(1) as thread:
        result = thread.submit(run_job, job)
        wait_for_checkpoint(url, lambda: not result.done())
        running = train_workers()
        assert len(running) == workers
        running[-1].kill()
        done = result.result()
    _, alive = psutil.wait_procs(running, timeout=300)
    assert not alive
    return done


def train_workers() -> list[psutil.Process]:
    """Ray Train's workers among this process's own descendants."""
    return [each for each in psutil.Process().children(recursive=True) if "RayTrainWo" in each.name()]


def assert_same_bytes(one: StageResult, other: StageResult) -> None:
    """The CRF, the losses, and the whole state of the newest checkpoint, which holds the optimizer's."""
    assert one.fingerprint == other.fingerprint
    files = ["diffusion_pytorch_model.safetensors", "losses.json", f"checkpoints/step-{STEPS:08d}/state.pt"]
    for file in files:
        assert (Path(one.url) / file).read_bytes() == (Path(other.url) / file).read_bytes(), file


def short_job(root: Path, natural: str, teacher: Path, workers: int) -> Job:
    return train_job(root, natural, teacher, workers=workers, steps=STEPS, checkpointing_steps=10)


def test_a_killed_worker_is_replaced_and_the_run_ends_by_itself(
    tiny_teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The paths are relative, which its worker, in a folder of its own, must not take for its own."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_teacher, "teacher")
    natural = write_training_store("natural", ["latents"])
    undisturbed = run_job(short_job(Path("undisturbed"), natural, Path("teacher"), workers=0))
    result = disturbed(short_job(Path("killed"), natural, Path("teacher"), workers=1), workers=1)
    assert result.url.startswith(str(tmp_path / "killed"))
    assert_same_bytes(result, undisturbed)


@pytest.mark.slow
def test_with_two_workers_one_killed_the_bytes_are_those_of_two_undisturbed(tiny_teacher: Path, tmp_path: Path) -> None:
    natural = write_training_store(str(tmp_path / "natural"), ["latents"])
    undisturbed = run_job(short_job(tmp_path / "undisturbed", natural, tiny_teacher, workers=2))
    result = disturbed(short_job(tmp_path / "killed", natural, tiny_teacher, workers=2), workers=2)
    assert_same_bytes(result, undisturbed)
    assert find_newest_step(result.url) == STEPS
    assert locations.read_json(f"{result.url}/manifest.json")["workers"] == 2
