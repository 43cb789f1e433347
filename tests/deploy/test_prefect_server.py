"""On a real Prefect server: the deployments are as prefect.yaml says, and a run whose process is lost starts again."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from deploy.automations import find_lost_runs, put, start_crashed_runs_again
from tests.support.servers import serve_prefect

ROOT = Path(__file__).parents[2]
POOL = ROOT / "deploy/gke/work-pool.json"
PATIENCE = 1000  # seconds until what does not come counts as hung
STAGES = {"encode", "teach", "train", "distill", "evaluate", "search", "measure", "pipeline", "plan"}
# Its first start goes on for ever, its second ends.
FLOW = """
import os, time
from pathlib import Path
from prefect import flow

@flow
def restarted(folder: str) -> None:
    with Path(folder, "starts").open("a") as file:
        file.write(f"{os.getpid()}\\n")
    while len(Path(folder, "starts").read_text().splitlines()) < 2:
        time.sleep(0.1)
"""
DEPLOYMENT = """
deployments:
  - {name: test, entrypoint: "flow.py:restarted", work_pool: {name: latentcrf}}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serve_prefect(tmp_path_factory.mktemp("prefect")) as address:
        pools = {"latentcrf": ("process", {}), "latentcrf-gke": ("kubernetes", json.loads(POOL.read_text()))}
        for name, (kind, template) in pools.items():
            pool = {"name": name, "type": kind, "base_job_template": template}
            httpx.post(f"{address}/work_pools/", json=pool, timeout=PATIENCE).raise_for_status()
        yield address


@pytest.fixture
def api(server: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server, timeout=PATIENCE) as client:
        yield client


def prefect(address: str, folder: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "prefect", "--no-prompt", *arguments]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "PREFECT_API_URL": address}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def wait_until(holds: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if found := holds():
            return found
        time.sleep(0.2)
    raise AssertionError(what)


def test_every_stage_is_deployed_twice(server: str, api: httpx.Client) -> None:
    prefect(server, ROOT, "deploy", "--all", "--prefect-file", "deploy/prefect.yaml")
    flows = {flow["id"]: flow["name"] for flow in api.post("flows/filter", json={}).json()}
    deployments = api.post("deployments/filter", json={}).json()
    found = {(flows[each["flow_id"]], each["name"]): each for each in deployments}
    assert set(found) == {(stage, name) for stage in STAGES for name in ("local", "gke")}
    for (_, name), deployment in found.items():
        assert deployment["work_pool_name"] == {"local": "latentcrf", "gke": "latentcrf-gke"}[name]
        assert deployment["parameter_openapi_schema"]["properties"]["params"]
        assert deployment["tags"] == ["latentcrf"]
        if name == "gke":  # the image's own working directory
            assert deployment["pull_steps"] == []
            assert deployment["concurrency_options"]["grace_period_seconds"] == 1800
    assert [schedule["active"] for schedule in found["pipeline", "local"]["schedules"]] == [False]
    form = found["teach", "local"]["parameter_openapi_schema"]["definitions"]["TeachParameters"]["properties"]
    assert [form[name]["position"] for name in ("captions", "teacher", "size")] == [0, 1, 2]
    assert not any("anyOf" in field for field in form.values())
    asked = {"parameters": {"params": {"captions": "captions.txt", "teacher": "gs://bucket/teacher?Token=CANARY"}}}
    refused = api.post(f"deployments/{found['teach', 'local']['id']}/create_flow_run", json=asked)
    assert refused.status_code == 409, "a URL with credentials is not even kept"
    assert api.post("flow_runs/filter", json={}).json() == []


def test_automations_are_put_once_and_updated(server: str, api: httpx.Client) -> None:
    with temporary_settings({PREFECT_API_URL: server}):
        for silence in (timedelta(minutes=5), timedelta(minutes=9)):
            put(find_lost_runs(silence))
            put(start_crashed_runs_again())
    lost, crashed = sorted(api.post("automations/filter", json={}).json(), key=lambda each: each["name"], reverse=True)
    assert lost["enabled"]
    assert crashed["enabled"]
    assert lost["trigger"]["within"] == 540
    assert {"prefect.flow-run.Completed", "prefect.flow-run.Cached"} < set(lost["trigger"]["expect"])
    assert crashed["trigger"]["match"]["prefect.run-count"] == ["1", "2"]


def test_a_run_whose_process_was_killed_is_found_and_starts_again(
    server: str, api: httpx.Client, tmp_path: Path
) -> None:
    (tmp_path / "flow.py").write_text(FLOW)
    (tmp_path / "prefect.yaml").write_text(DEPLOYMENT)
    prefect(server, tmp_path, "deploy", "--all")
    with temporary_settings({PREFECT_API_URL: server}):
        put(find_lost_runs(timedelta(seconds=10)))  # the least that the server allows
        put(start_crashed_runs_again())
    deployment = api.get("deployments/name/restarted/test").json()["id"]
    asked = {"parameters": {"folder": str(tmp_path)}, "state": {"type": "SCHEDULED"}}
    with work(server):
        run = api.post(f"deployments/{deployment}/create_flow_run", json=asked).json()["id"]
        heard = {"filter": {"event": {"name": ["prefect.flow-run.heartbeat"]}}}
        wait_until(lambda: api.post("events/filter", json=heard).json()["events"], "no heartbeat")
        wait_until((tmp_path / "starts").exists, "not started")
    # The worker is dead, and so is the run's process: nobody is left who could tell the server.
    assert list_states(api, run)[-1] == "RUNNING"
    wait_until(lambda: "CRASHED" in list_states(api, run), "not found")
    with work(server):
        wait_until(lambda: list_states(api, run)[-1] == "COMPLETED", "not started again")
    assert api.get(f"flow_runs/{run}").json()["run_count"] == 2
    assert len((tmp_path / "starts").read_text().splitlines()) == 2


def list_states(api: httpx.Client, run: str) -> list[str]:
    states = api.get("flow_run_states/", params={"flow_run_id": run}).json()
    return [state["type"] for state in sorted(states, key=lambda state: state["timestamp"])]


@contextmanager
def work(server: str) -> Iterator[None]:
    """Run a worker of the pool; at the end kill it and all that it has started, with -9."""
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "latentcrf", "--type", "process"]
    environment = {**os.environ, "PREFECT_API_URL": server, "PREFECT_WORKER_QUERY_SECONDS": "1"}
    worker = psutil.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        processes = [worker, *worker.children(recursive=True)]
        for process in processes:
            process.kill()
        psutil.wait_procs(processes)
