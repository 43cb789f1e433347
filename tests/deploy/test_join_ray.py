"""join-ray.sh, the entry point of the image: it joins a Ray head, where there is one, and runs its command."""

import os
import subprocess
import sys
from pathlib import Path

DEPLOY = Path(__file__).parents[2] / "deploy"
# A head and a worker in a network of their own, and beside them a container: its own processes and files, as of its
# root only /tmp/ray is private. What starts there ends with it.
CLUSTER = """
set -euo pipefail
ip link set lo up 2>/dev/null || ifconfig lo up
mkdir -p /tmp/ray
mount -t tmpfs ray /tmp/ray
ray start --head --num-cpus=0 --port=6379 --include-dashboard=false
ray start --address=127.0.0.1:6379 --num-cpus=1
unshare --mount --pid --fork --mount-proc --kill-child bash -euc '
    mount -t tmpfs ray /tmp/ray
    mkdir -p /tmp/ray/session_old/sockets  # of an earlier start in this container
    ln -s session_old /tmp/ray/session_latest
    RAY_HEAD=127.0.0.1:6379 exec "$0" "$@"
' "$@"
"""
# Prints what each node offers, and what the node offers that a task ran on.
DRIVER = """
import ray

@ray.remote(num_cpus=1)
def where():
    return ray.get_runtime_context().get_node_id()

ray.init(logging_level="ERROR", log_to_driver=False)
cpus = {node["NodeID"]: node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]}
own = ray.get_runtime_context().get_node_id()
print("nodes", sorted(cpus.values()), "own", cpus[own], "task's", cpus[ray.get(where.remote())], flush=True)
"""


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command as a container would, with the token that all nodes share."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    ray = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123456789" * 5, "RAY_USAGE_STATS_ENABLED": "0"}
    environment = {**kept, **ray, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def test_a_driver_computes_on_the_cluster_that_its_container_joins() -> None:
    apart = ["unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child"]
    done = run(*apart, "bash", "-c", CLUSTER, "cluster", DEPLOY / "join-ray.sh", sys.executable, "-c", DRIVER)
    assert "nodes [0, 0, 1.0] own 0 task's 1.0\n" in done.stdout, done.stdout + done.stderr


def test_without_a_head_the_command_runs_in_the_scripts_place() -> None:
    done = run(DEPLOY / "join-ray.sh", "bash", "-c", "echo ${RAY_ADDRESS-none}; exit 7")
    assert (done.returncode, done.stdout) == (7, "none\n")
