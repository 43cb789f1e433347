"""Ray starts on a machine that is too busy for it the first time."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.mark.slow
def test_a_ray_that_did_not_start_is_started_once_more(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(ONE_SLOW_AGENT)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "SLOW_AGENT": str(tmp_path / "slow")}
    environment.pop("RAY_ADDRESS", None)
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True)
    assert "answer 42" in done.stdout, done.stderr
    assert (tmp_path / "slow").exists()
