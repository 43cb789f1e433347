"""One run of ``make chaos``, of an actor, a driver and a writer; in a process of its own, with its own Ray."""

import json
import subprocess
import sys


def test_killed_anywhere_it_ends_in_the_same_bytes() -> None:
    command = [sys.executable, "-m", "tests.chaos", "--first", "1", "--runs", "1", "--races", "0", "--seed", "3"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert (summary["runs"], summary["wrong"]) == (1, [])
    assert sum(summary["kills"].values()) > 0, done.stdout
