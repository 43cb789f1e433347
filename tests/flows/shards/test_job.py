import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import ray
import ray.util
from ray.exceptions import RayError

from flows import ray_session
from flows.errors import find_user_error
from flows.parameters.running import Resources
from flows.progress import Progress
from flows.shards import job
from flows.stage import find_work, run_stage
from storage.store.verification import verify
from tests.support.chaos.stage import CALM, CHAOS, Parameters
from tests.support.stores import read_content


@pytest.mark.usefixtures("ray_local")
def test_what_fails_on_a_worker_is_one_line_to_the_user(tmp_path: Path) -> None:
    free = ray.available_resources()["CPU"]
    params = Parameters(root=str(tmp_path), shards=2, seconds=0)
    in_the_way = Path(params.url, "seed/c")
    in_the_way.parent.mkdir(parents=True)
    in_the_way.write_text("a file where the shards belong")
    with pytest.raises(Exception, match="FileExistsError") as caught:
        run_stage(CHAOS, params, params.root)
    told = find_user_error(caught.value)
    assert told
    # Either shard may be the first to fail.
    expected = rf"expected an answer from {re.escape(params.url)}/seed/c/[01], found FileExistsError"
    assert re.match(expected, told)
    assert "\n" not in told
    # A failed job gives back what it had, even while its error is kept.
    while ray.available_resources().get("CPU", 0) < free:
        time.sleep(0.1)


@pytest.mark.usefixtures("ray_local")
@pytest.mark.parametrize("model", ["Dying", "DyingEarly"])
def test_an_actor_that_keeps_dying_ends_the_job(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "RETRIES", 1)
    monkeypatch.setattr(ray_session, "DEATHS_IN_INIT", 0)
    params = Parameters(root=str(tmp_path), shards=1, model=model)
    with pytest.raises(RayError) as caught:
        run_stage(CHAOS, params, params.root)
    told = find_user_error(caught.value)
    assert told
    assert told.startswith("expected Ray workers that stay alive, found one that died again and again: ")


@pytest.mark.usefixtures("ray_local")
def test_rows_and_warnings_arrive_while_their_shard_is_computed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gate = tmp_path / "gate"
    params = Parameters(root=str(tmp_path), shards=1, seconds=0, model="Gated", arguments={"gate": str(gate)})
    counted: list[int] = []
    with Progress("chaos") as progress:

        def open_gate() -> None:
            while progress.done != 3 and not gate.exists():
                time.sleep(0.05)
            counted.append(progress.done)
            while "an old file" not in caplog.text and not gate.exists():
                time.sleep(0.05)
            gate.touch()

        with ThreadPoolExecutor(1) as thread:
            thread.submit(open_gate)
            try:
                CHAOS.compute(params, find_work(CHAOS, params, params.root), progress)
            finally:
                gate.touch()
        assert (*counted, progress.done, progress.total) == (3, 7, 7)
    told = [record.getMessage() for record in caplog.records if record.name == "latentcrf"]
    node = ray.util.get_node_ip_address()
    assert told[0] == f"node {node}: a strange row"
    assert re.fullmatch(rf"node {node}: .*compute.py:\d+: UserWarning: an old file .*", told[1])
    assert len(told) == 2


@pytest.mark.usefixtures("ray_local")
def test_more_actors_than_fit_leave_room_for_reading_and_writing(tmp_path: Path) -> None:
    """After a node is lost, its actors start again on what is left. Here as many are asked for as it would get."""
    params = Parameters(root=str(tmp_path), shards=4, seconds=0, resources=Resources(actors=3))
    assert run_stage(CHAOS, params, params.root).state == "computed"


# Ray hands out a GPU that it is told of; the stage's actor does not use it. Its first shard takes long.
# The second job has fewer shards than actors.
TWO_JOBS = """
import sys
import ray.data
from flows.ray_session import start_local_ray
from flows.stage import run_stage
from tests.support.chaos.stage import CHAOS, Parameters

start_local_ray(num_cpus=2, num_gpus=1)
ray.data.DataContext.get_current().execution_no_progress_timeout_s = 1  # half an hour, by default
for line in sys.argv[1:]:
    params = Parameters.model_validate_json(line)
    print(run_stage(CHAOS, params, params.root).state)
"""
FEW: dict[str, Any] = {"shards": 2, "shard_rows": 80}


@pytest.fixture(scope="module")
def two_jobs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of two jobs on a Ray with two cores and a GPU."""
    folder = tmp_path_factory.mktemp("jobs")
    (folder / "met").mkdir()
    slow = Parameters(root=f"{folder}/slow", shards=2, seconds=4)
    few = Parameters(
        root=f"{folder}/few",
        **FEW,
        seconds=0,
        model="Meeting",
        arguments={"folder": f"{folder}/met"},
        resources=Resources(device="cpu", actors=2),
    )
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    command = [sys.executable, "-c", TWO_JOBS, slow.model_dump_json(), few.model_dump_json()]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.stdout == "computed\ncomputed\n", done.stderr
    return folder


def test_a_job_on_gpus_may_be_slow(two_jobs: Path) -> None:
    slow = Parameters(root=f"{two_jobs}/slow", shards=2)
    assert verify(slow.url) == []


def test_several_actors_share_a_shard_without_changing_a_byte(two_jobs: Path, tmp_path: Path) -> None:
    """An actor begins the first shard only when another one has begun it, too."""
    shared, alone = (Parameters(root=root, **FEW) for root in (f"{two_jobs}/few", str(tmp_path)))
    run_stage(CALM, alone, alone.root)
    assert read_content(shared.url) == read_content(alone.url)
    assert len(list((two_jobs / "met").iterdir())) == 2
