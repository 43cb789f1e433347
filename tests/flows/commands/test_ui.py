"""``latentcrf ui``: the deployments are there, and a run started by a browser's clicks, or through the API, works."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from storage import LatentStore
from tests.support.servers import free_port

PATIENCE = 1_000  # seconds until what does not come counts as hung
Ui = tuple[str, httpx.Client, dict[str, str]]
STAGES = {"encode", "teach", "train", "distill", "evaluate", "search", "measure", "pipeline"}
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
QUIET = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    """Yield the server's address, a client of its API, and each stage's deployment id."""
    folder, address = tmp_path_factory.mktemp("ui"), f"http://127.0.0.1:{free_port()}"
    environment = {**os.environ, "PREFECT_HOME": str(folder / "prefect")}
    environment.pop("PREFECT_API_URL", None)
    command = [str(Path(sys.executable).with_name("latentcrf")), "ui", "--port", address.rpartition(":")[2]]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        with httpx.Client(base_url=f"{address}/api", timeout=PATIENCE) as api:
            yield address, api, wait_for_deployments(api, process, folder / "log")
    finally:
        process.terminate()
        process.wait()


def test_a_run_started_through_the_api_completes(ui: Ui, captions: Path, tiny_teacher: Path, tmp_path: Path) -> None:
    _, api, deployments = ui
    params = {"captions": str(captions), "teacher": str(tiny_teacher), "root": str(tmp_path / "runs")}
    asked = {"parameters": {"params": params}, "state": {"type": "SCHEDULED"}}
    run = api.post(f"deployments/{deployments['teach']}/create_flow_run", json=asked).json()
    assert wait_for_end(api, run["id"]) == "COMPLETED"
    [store] = (tmp_path / "runs/teach").iterdir()
    assert len(LatentStore.open(str(store))) == 6


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine; apt-get install chromium")
def test_a_run_started_in_the_browser_completes(ui: Ui, captions: Path, tiny_teacher: Path, tmp_path: Path) -> None:
    from playwright.sync_api import expect, sync_playwright

    address, api, deployments = ui
    values = {"Captions": captions, "Teacher": tiny_teacher, "Root (Optional)": tmp_path / "runs"}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET.split())
        page = browser.new_page()
        page.set_default_timeout(PATIENCE * 1000)
        expect.set_options(timeout=PATIENCE * 1000)
        page.goto(f"{address}/deployments")
        for stage in STAGES:
            expect(page.get_by_text(stage, exact=True).first).to_be_visible()
        page.goto(f"{address}/deployments/deployment/{deployments['teach']}/run")
        expect(page.get_by_text("classifier-free guidance scale")).to_be_visible()
        page.wait_for_load_state("networkidle")  # what the form still loads would take back what is filled in
        for label, value in values.items():
            named = page.locator(".schema-form-property__label", has_text=re.compile(f"^{re.escape(label)}$"))
            page.locator(".schema-form-property", has=named).last.locator("textarea").fill(str(value))
        with page.expect_response("**/create_flow_run") as created:
            page.get_by_role("button", name="Submit").click()
        assert created.value.ok, created.value.text()
        run = created.value.json()["id"]
        page.goto("about:blank")  # drawing the run as it goes on takes a core of the two, which the run needs
        assert wait_for_end(api, run) == "COMPLETED"
        page.goto(f"{address}/runs/flow-run/{run}")
        expect(page.get_by_text("Completed").first).to_be_visible()
        browser.close()
    [store] = (tmp_path / "runs/teach").iterdir()
    assert len(LatentStore.open(str(store))) == 6


def wait_for_deployments(api: httpx.Client, process: "subprocess.Popen[bytes]", log: Path) -> dict[str, str]:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            names = {flow["id"]: flow["name"] for flow in api.post("flows/filter", json={}).json()}
            found = api.post("deployments/filter", json={}).json()
            if {names.get(deployment["flow_id"]) for deployment in found} == STAGES:
                return {names[deployment["flow_id"]]: deployment["id"] for deployment in found}
        except (httpx.HTTPError, ValueError):
            pass
        time.sleep(1)
    raise AssertionError(log.read_text())


def wait_for_end(api: httpx.Client, run: str) -> str:
    """Wait for a flow run to end; return the type of its last state."""
    deadline = time.monotonic() + PATIENCE
    state = ""
    while time.monotonic() < deadline:
        state = api.get(f"flow_runs/{run}").json()["state"]["type"]
        if state in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED"):
            break
        time.sleep(1)
    return state
