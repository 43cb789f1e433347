"""Ray starts on a machine that is too busy for it the first time, and ends with a killed driver."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.support.nodes import can_make_nodes

# Every Python process runs this first; one of Ray's agents, the first, then takes longer than Ray waits.
ONE_SLOW_AGENT = """
import os, sys, time
if any(argument.endswith("dashboard/agent.py") for argument in sys.orig_argv):
    try:
        os.mkdir(os.environ["SLOW_AGENT"])
        time.sleep(25)
    except FileExistsError:
        pass
"""
PROGRAM = """
import ray
from flows.ray_session import ray_session
with ray_session():
    print("answer", ray.get(ray.remote(lambda: 6 * 7).remote()))
"""


@pytest.mark.usefixtures("ray_local")
def test_workers_have_the_drivers_priority() -> None:
    """At Ray's own they would hardly run beside a program that keeps every core busy."""
    import ray

    assert ray.get(ray.remote(lambda: os.nice(0)).remote()) == os.nice(0)


@pytest.mark.skipif(not can_make_nodes(), reason="makes a Linux namespace: needs root")
def test_a_cluster_that_is_not_there_is_the_users_to_start(tmp_path: Path) -> None:
    environment = {**os.environ, "RAY_ADDRESS": "auto", "RAY_TMPDIR": str(tmp_path)}
    alone = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]  # Ray finds no other test's processes
    done = subprocess.run([*alone, sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True)
    assert "UserError: expected a node of a Ray cluster on this machine, as RAY_ADDRESS is 'auto'" in done.stderr


@pytest.mark.slow
def test_a_ray_that_did_not_start_is_started_once_more(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(ONE_SLOW_AGENT)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "SLOW_AGENT": str(tmp_path / "slow")}
    environment.pop("RAY_ADDRESS", None)
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True)
    assert "answer 42" in done.stdout, done.stderr
    assert (tmp_path / "slow").exists()


WAITING = """
import sys
import time
import ray
from flows.ray_session import ray_session
with ray_session():
    ray.get(ray.remote(lambda: None).remote())
    print("started", flush=True)
    sys.stdin.read()
"""


@pytest.mark.slow  # Ray takes a minute to notice
def test_ray_ends_with_a_killed_driver() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    command = [sys.executable, "-c", WAITING]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout
        assert driver.stdout.readline() == "started\n"
        started = psutil.Process(driver.pid).children(recursive=True)
        assert "raylet" in {process.name() for process in started}
        driver.kill()
    _, alive = psutil.wait_procs(started, timeout=120)
    assert alive == []


@pytest.mark.slow
def test_a_terminated_command_ends_with_one_line(tiny_teacher: Path, tmp_path: Path) -> None:
    (tmp_path / "captions.txt").write_text("".join(f"thing {number}\n" for number in range(4_000)))
    options = {"teacher": tiny_teacher, "captions": tmp_path / "captions.txt", "root": tmp_path, "shard-rows": 4}
    command = [str(Path(sys.executable).with_name("latentcrf")), "teach"]
    command += [str(part) for name, value in options.items() for part in (f"--{name}", value)]
    environment = {name: value for name, value in os.environ.items() if name not in ("RAY_ADDRESS", "PREFECT_API_URL")}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as driver:
        while not list(tmp_path.glob("teach/*/commits/0*")):
            assert driver.poll() is None
            time.sleep(0.1)
        started = psutil.Process(driver.pid).children(recursive=True)
        driver.terminate()
        _, told = driver.communicate()
    assert driver.returncode == 130
    assert told.splitlines()[-1].startswith("latentcrf: stopped; ")
    assert "Traceback" not in told
    _, alive = psutil.wait_procs(started, timeout=120)
    assert alive == []
