import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from storage import LatentStore
from tests.flows.conftest import free_port

STAGES = {"encode", "teach", "train", "distill", "evaluate", "pipeline"}


@pytest.mark.timeout(280)
def test_deployments_are_registered_and_a_run_from_the_ui_works(
    captions: Path, tiny_teacher: Path, tmp_path: Path
) -> None:
    """What the UI's buttons do, through the same API: read the form's schema, start a run, see it complete."""
    port = free_port()
    environment = {**os.environ, "PREFECT_HOME": str(tmp_path / "prefect")}
    environment.pop("PREFECT_API_URL", None)
    command = [Path(sys.executable).with_name("latentcrf"), "ui", "--port", str(port)]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}/api", timeout=10) as api:
            deployments = wait_for_deployments(api, process, tmp_path / "log")
            schema = deployments["teach"]["parameter_openapi_schema"]
            assert "guidance" in str(schema)
            assert "classifier-free guidance scale" in str(schema)
            params = {"captions": str(captions), "teacher": str(tiny_teacher), "root": str(tmp_path / "runs")}
            url = f"/deployments/{deployments['teach']['id']}/create_flow_run"
            run = api.post(url, json={"parameters": {"params": params}, "state": {"type": "SCHEDULED"}}).json()
            assert wait_for_end(api, run["id"]) == "COMPLETED", (tmp_path / "log").read_text()
    finally:
        process.terminate()
        process.wait(60)
    [store] = (tmp_path / "runs/teach").iterdir()
    assert len(LatentStore.open(str(store))) == 6


def wait_for_deployments(api: httpx.Client, process: "subprocess.Popen[bytes]", log: Path) -> dict[str, dict[str, str]]:
    deadline = time.monotonic() + 150
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            found = api.post("/deployments/filter", json={}).json()
            names = {flow["id"]: flow["name"] for flow in api.post("/flows/filter", json={}).json()}
            if {names[deployment["flow_id"]] for deployment in found} == STAGES:
                return {names[deployment["flow_id"]]: deployment for deployment in found}
        except (httpx.HTTPError, ValueError):
            pass
        time.sleep(1)
    raise AssertionError(log.read_text())


def wait_for_end(api: httpx.Client, run_id: str) -> str:
    deadline = time.monotonic() + 120
    state = ""
    while time.monotonic() < deadline:
        state = api.get(f"/flow_runs/{run_id}").json()["state"]["type"]
        if state in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED"):
            break
        time.sleep(1)
    return state
