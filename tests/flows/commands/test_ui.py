"""``latentcrf ui``: what its users do all week, by a browser's clicks and through the API, on one server and worker."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil
import pytest

from flows.parameters.pipeline import PipelineParameters
from flows.parameters.running import Resources
from tests.support.browser import CHROMIUM, PrefectPage
from tests.support.servers import free_port
from tests.support.small_pipelines import make_small_pipeline

PATIENCE = 1_000  # seconds until what does not come counts as hung
STAGES = {"encode", "teach", "train", "distill", "evaluate", "search", "measure", "pipeline"}
ENDED = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
T = TypeVar("T")
browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine; apt-get install chromium")


@dataclass(frozen=True)
class Ui:
    """A running server with a worker: its address, a client of its API, each flow's deployment id."""

    address: str
    api: httpx.Client
    deployments: dict[str, str]

    def read_run(self, run: str) -> dict[str, Any]:
        found: dict[str, Any] = self.api.get(f"flow_runs/{run}").json()
        return found

    def wait_for_end(self, run: str) -> str:
        """Wait for a flow run to end; return the type of its last state."""
        return str(wait_for(lambda: ENDED & {self.read_run(run)["state"]["type"]}).pop())

    def list_subflows(self, run: str) -> dict[str, dict[str, Any]]:
        """List the runs of a pipeline's stages: flow name -> flow run."""
        names = {flow["id"]: flow["name"] for flow in self.api.post("flows/filter", json={}).json()}
        asked = {"flow_runs": {"parent_flow_run_id": {"any_": [run]}}}
        return {names[found["flow_id"]]: found for found in self.api.post("flow_runs/filter", json=asked).json()}

    def find_scheduled(self, deployment: str) -> str:
        """Return the id of a run that a schedule made and that has started; empty if there is none yet."""
        asked = {"deployments": {"id": {"any_": [deployment]}}, "flow_runs": {"state": {"type": {"any_": ["RUNNING"]}}}}
        runs = self.api.post("flow_runs/filter", json=asked).json()
        return next((str(run["id"]) for run in runs if run["auto_scheduled"]), "")


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    folder, address = tmp_path_factory.mktemp("ui"), f"http://127.0.0.1:{free_port()}"
    environment = {**os.environ, "PREFECT_HOME": str(folder / "prefect")}
    environment.pop("PREFECT_API_URL", None)
    command = [str(Path(sys.executable).with_name("latentcrf")), "ui", "--port", address.rpartition(":")[2]]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        with httpx.Client(base_url=f"{address}/api", timeout=PATIENCE) as api:
            yield Ui(address, api, wait_for_deployments(api, process, folder / "log"))
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def page(ui: Ui, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectPage]:
    with PrefectPage.open(ui.address, tmp_path_factory.getbasetemp() / "screenshots", PATIENCE) as opened:
        yield opened


@pytest.fixture(scope="module")
def params(tiny_teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> PipelineParameters:
    made = make_small_pipeline(tmp_path_factory.mktemp("inputs"), tiny_teacher, workers=0)
    return made.model_copy(update={"resources": Resources(actors=1)})


@pytest.fixture(scope="module")
def first_run(ui: Ui, params: PipelineParameters, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A run of the pipeline's deployment, by Quick run, that has ended; the deployment's own values are a small set."""
    deployment = ui.deployments["pipeline"]
    values = {"parameters": {"params": params.model_dump(mode="json", exclude_unset=True)}}
    wait_for(lambda: ui.api.patch(f"deployments/{deployment}", json=values).is_success)  # 503: others write, too
    with PrefectPage.open(ui.address, tmp_path_factory.getbasetemp() / "screenshots", PATIENCE) as page:
        run = page.quick_run(deployment)
    assert ui.wait_for_end(run) == "COMPLETED"
    return run


@browser
def test_a_quick_run_of_the_pipeline_is_seen_with_its_artifacts(ui: Ui, first_run: str, page: PrefectPage) -> None:
    page.go("deployments")
    for name in STAGES:
        page.see(name)
    page.picture("deployments")
    page.go(f"runs/flow-run/{first_run}")
    page.see("Completed")
    page.open_tab("Subflow Runs")
    page.see("5 Subflow runs")
    page.picture("pipeline")
    page.open_tab("Logs")
    page.see("evaluate: computed, at ")
    page.go(f"runs/flow-run/{ui.list_subflows(first_run)['teach']['id']}")
    page.see("teach: missing, as never made; 2 shards, at ")
    page.see("teach: computed in ")
    page.picture("log")
    page.open_tab("Artifacts")
    page.see("teach-samples")
    page.go(f"runs/flow-run/{ui.list_subflows(first_run)['evaluate']['id']}")
    page.open_tab("Artifacts")
    for key in ("evaluation-table", "evaluation-report", "evaluation-contact-sheet", "evaluation-pareto"):
        page.see(key)
    page.picture("artifacts")


@browser
def test_a_schedule_runs_what_a_changed_teacher_touches(
    ui: Ui, first_run: str, page: PrefectPage, params: PipelineParameters
) -> None:
    [weights] = Path(params.teacher, "unet").glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    deployment = ui.deployments["pipeline"]
    page.add_cron(deployment, "* * * * *")
    page.see("Every minute")
    page.picture("schedule")
    page.rest()
    run = wait_for(lambda: ui.find_scheduled(deployment))
    page.remove_schedule(deployment, "Every minute")
    page.rest()
    schedules = ui.api.get(f"deployments/{deployment}").json()["schedules"]
    assert not [schedule for schedule in schedules if schedule["active"]]
    assert ui.wait_for_end(run) == "COMPLETED"
    states = {name: subflow["state"]["name"] for name, subflow in ui.list_subflows(run).items()}
    ran, cached = (
        dict.fromkeys(("teach", "distill", "evaluate"), "Completed"),
        dict.fromkeys(("encode", "train"), "Cached"),
    )
    assert states == {**ran, **cached}
    page.go(f"runs/flow-run/{run}")
    page.open_tab("Subflow Runs")
    page.see("Cached")
    page.picture("changed_teacher")


@browser
def test_a_run_cancelled_in_the_middle_leaves_no_process(
    ui: Ui, page: PrefectPage, tiny_teacher: Path, tmp_path: Path
) -> None:
    many = tmp_path / "many.txt"
    many.write_text("".join(f"a drawing of thing {number}\n" for number in range(4_000)))
    values = {"Captions": many, "Teacher": tiny_teacher, "Root": tmp_path / "runs", "Shard rows": 4}
    run = page.custom_run(ui.deployments["teach"], {label: str(value) for label, value in values.items()})
    page.rest()
    wait_for(lambda: list((tmp_path / "runs").glob("teach/*/commits/0*")))
    flow = psutil.Process(int(ui.read_run(run)["infrastructure_pid"].rpartition(":")[2]))
    processes = [flow, *flow.children(recursive=True)]
    assert "raylet" in {process.name() for process in processes}
    page.cancel(run)
    page.rest()
    assert psutil.wait_procs(processes, timeout=PATIENCE)[1] == []
    assert ui.wait_for_end(run) == "CANCELLED"
    page.go(f"runs/flow-run/{run}")
    page.see("Cancelled")
    page.picture("cancelled")


def wait_for_deployments(api: httpx.Client, process: "subprocess.Popen[bytes]", log: Path) -> dict[str, str]:
    def find() -> dict[str, str]:
        assert process.poll() is None, log.read_text()
        try:
            names = {flow["id"]: flow["name"] for flow in api.post("flows/filter", json={}).json()}
            found = api.post("deployments/filter", json={}).json()
        except (httpx.HTTPError, ValueError):
            return {}
        deployments = {names[deployment["flow_id"]]: deployment["id"] for deployment in found}
        # What it prints last tells that it will not change the deployments any more.
        return deployments if "the Prefect UI is at" in log.read_text() else {}

    return wait_for(find)


def wait_for(find: Callable[[], T]) -> T:
    """Wait until a function finds something; return it."""
    deadline = time.monotonic() + PATIENCE
    while not (found := find()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.5)
    return found
