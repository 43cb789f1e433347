"""A Ray cluster of nodes that share nothing but a bucket, a token and the code."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support import servers
from tests.support.nodes import CODE, HOST, Network, Node

GCS_PORT, RAY_PORT = 4443, 6379
BUCKET = "gs://bucket"
JOIN = CODE / "deploy/join-ray.sh"
# The environment that all nodes share.
SHARED = {
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": "0123456789" * 5,
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",
    # A node that is killed is missed after some 20 s; by default it takes Ray a minute.
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "3000",
    **servers.gcs_environment(f"http://{HOST}:{GCS_PORT}"),
}

UPLOAD = """
import sys, fsspec
from storage import locations
fs, path = fsspec.url_to_fs(sys.argv[2])
fs.put(sys.argv[1] + "/", path, recursive=True)
"""


@dataclass
class Cluster:
    """A network with a bucket, whose objects are files in ``folder``, and a Ray head without CPUs.

    Every node has a copy of ``files``, and nothing else but /tmp to write to.
    """

    network: Network
    folder: Path
    files: list[Path]

    @property
    def bucket(self) -> Path:
        return self.folder / "bucket"

    def add_node(self) -> Node:
        node = self.network.add_node()
        for folder in self.files:
            node.put_folder(folder)
        return node

    def start_head(self) -> None:
        options = ["--head", f"--port={RAY_PORT}", "--num-cpus=0", "--include-dashboard=false"]
        self._start_ray(self.add_node(), *options)

    def add_worker(self, cpus: int = 1) -> Node:
        """Add a node with CPUs to the Ray cluster."""
        node = self.add_node()
        self._start_ray(node, f"--address={self.head}", f"--num-cpus={cpus}")
        return node

    @property
    def head(self) -> str:
        return f"{self.network.nodes[0].address}:{RAY_PORT}"

    def _start_ray(self, node: Node, *options: str) -> None:
        common = [f"--node-ip-address={node.address}", "--num-gpus=0", "--object-store-memory=200000000", "--block"]
        # Ray gives a node 30 s to start, which are too few on a busy machine.
        again = ["bash", "-c", 'until "$@"; do sleep 1; done', "start"]
        node.start(*again, "ray", "start", *options, *common, log=self.log(node), **SHARED)

    def drive(self, *command: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start a command on a new node, which joins the cluster for it as the image's entry point does."""
        node = self.add_node()
        return node.start(
            "bash", str(JOIN), *command, log=self.log(node), **{**SHARED, "RAY_HEAD": self.head, **environment}
        )

    def upload(self, folder: Path, url: str) -> None:
        """Copy a folder of this machine into the bucket."""
        command = [*self.network.enter, sys.executable, "-c", UPLOAD, str(folder), url]
        subprocess.run(command, env={**os.environ, **SHARED}, cwd=CODE, check=True)

    def log(self, node: Node) -> Path:
        return self.folder / f"{node.address}.log"

    def read_logs(self) -> str:
        return "\n".join(f"{log.name}:\n{log.read_text()}" for log in sorted(self.folder.glob("*.log")))


@contextmanager
def start_cluster(folder: Path, files: list[Path]) -> Iterator[Cluster]:
    """Start a network, a bucket and a head; end all that runs there with the block.

    Args:
        folder: Where logs and the bucket's objects are kept.
        files: Folders that every node gets a copy of.
    """
    (folder / "bucket").mkdir(parents=True)
    with Network() as network:
        serve = servers.gcs_command(folder, HOST, GCS_PORT, f"http://{HOST}:{GCS_PORT}")
        server = subprocess.Popen([*network.enter, *serve])
        try:
            cluster = Cluster(network, folder, files)
            cluster.start_head()
            yield cluster
        finally:
            servers.stop(server)
