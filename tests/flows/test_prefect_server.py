"""A driver's own Prefect server: it serves the driver's flows, and ends with the driver, even after kill -9."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from flows.prefect_server import start_temporary_server

DRIVER = """
import sys
from flows.prefect_server import start_temporary_server
start_temporary_server()
from prefect import flow
from prefect.client.orchestration import get_client

@flow
def noted():
    return 1

noted()
with get_client(sync_client=True) as client:
    [run] = client.read_flow_runs()
print(run.state.name, flush=True)
sys.stdin.read()
"""


def test_the_server_ends_with_a_killed_driver(tmp_path: Path) -> None:
    environment = {**os.environ, "PREFECT_HOME": str(tmp_path)}
    environment.pop("PREFECT_API_URL", None)
    command = [sys.executable, "-c", DRIVER]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout
        assert driver.stdout.readline() == "Completed\n"
        [server] = psutil.Process(driver.pid).children(recursive=True)
        assert "flows.prefect_server" in server.cmdline()
        driver.kill()
    _, alive = psutil.wait_procs([server], timeout=60)
    assert alive == []


@pytest.mark.usefixtures("prefect_server")
def test_a_server_that_the_settings_name_is_used() -> None:
    before = os.environ.get("PREFECT_API_URL"), psutil.Process().children()
    start_temporary_server()
    assert (os.environ.get("PREFECT_API_URL"), psutil.Process().children()) == before
