"""A stage goes on while Prefect's server is restarted and the object store answers badly."""

import os
import subprocess
import sys
import time
from pathlib import Path

import httpx

from flows.stage import run_stage
from tests.support.chaos.stage import CALM, Parameters, identify
from tests.support.faulty_proxy import FaultyProxy
from tests.support.servers import free_port, gcs_environment, serve_gcs, start_prefect, stop
from tests.support.stores import read_content

SHARDS = 6
DRIVER = """
import sys
from prefect import flow
from flows.prefect_server import start_temporary_server
from flows.stage import make_prefect_state, run_stage
from tests.support.chaos.stage import CHAOS, Parameters

@flow
def disturbed(params: Parameters):
    return make_prefect_state(run_stage(CHAOS, params, params.root))

start_temporary_server()
disturbed(Parameters.model_validate_json(sys.argv[1]))
"""


def test_a_stage_ends_as_ever_while_its_servers_fail(tmp_path: Path) -> None:
    calm = Parameters(root=str(tmp_path / "calm"), shards=SHARDS)
    run_stage(CALM, calm, calm.root)
    there = calm.model_copy(update={"root": "gs://bucket/runs"})
    store = tmp_path / "gcs/bucket/runs/chaos" / identify(there).identity.fingerprint
    port = free_port()
    server = start_prefect(tmp_path, port)
    try:
        with serve_gcs(tmp_path / "gcs") as gcs, FaultyProxy(gcs, free_port(), seed=5, faults=("503", "cut")) as proxy:
            driver = start_driver(there, port, proxy.address, tmp_path / "driver.log")
            while not (store / "commits/00000.json").exists():
                assert driver.poll() is None, (tmp_path / "driver.log").read_text()
                time.sleep(0.05)
            stop(server)
            server = start_prefect(tmp_path, port)
            assert driver.wait() == 0, (tmp_path / "driver.log").read_text()
        [run] = httpx.post(f"http://127.0.0.1:{port}/api/flow_runs/filter", json={}, timeout=1000).json()
    finally:
        stop(server)
    assert run["state_name"] == "Completed"
    assert proxy.met["503"]
    assert proxy.met["cut"]
    assert read_content(store) == read_content(calm.url)


def start_driver(params: Parameters, port: int, gcs: str, log: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, **gcs_environment(gcs), "PREFECT_API_URL": f"http://127.0.0.1:{port}/api"}
    environment.pop("RAY_ADDRESS", None)
    with log.open("w") as output:
        command = [sys.executable, "-c", DRIVER, params.model_dump_json()]
        return subprocess.Popen(command, env=environment, stdout=output, stderr=output)
