"""Machines of a cluster, made of Linux namespaces: each has an address, processes and files of its own.

All see this machine's root read-only, with the code in it; /tmp and /dev/shm are a node's own, and its home folder is
/tmp/home. Needs root, iproute2 and util-linux. Ended is what each process id here stands for: what runs in a node
ends with it, as if the power went.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Self

import psutil

CODE = Path(__file__).parents[2]
NETWORK = "10.77.0"
HOST = f"{NETWORK}.1"  # the network's own address, where servers listen
MAKE_NETWORK = f"""
ip link set lo up
ip link add bridge type bridge
ip address add {HOST}/24 dev bridge
ip link set bridge up
"""
# What lies below /tmp would be hidden by the new /tmp: the code and its environment stay at their places.
MAKE_FILES = """
set -eu
umask 022
mount -t tmpfs shm /dev/shm
number=0
for kept in "$@"; do
    number=$((number + 1))
    mkdir /dev/shm/kept-$number
    mount --bind "$kept" /dev/shm/kept-$number
done
mount -t tmpfs tmp /tmp
chmod 1777 /tmp
mkdir /tmp/home
number=0
for kept in "$@"; do
    number=$((number + 1))
    mkdir -p "$kept"
    mount --move /dev/shm/kept-$number "$kept"
    rmdir /dev/shm/kept-$number
    mount -o remount,bind,ro "$kept"
done
mount -o remount,bind,ro /
echo ready
sleep infinity & wait
"""


def can_make_nodes() -> bool:
    """Return whether this process may make namespaces and finds the programs that it takes."""
    made = subprocess.run(["unshare", "--net", "--mount", "ip", "link", "show"], capture_output=True, check=False)
    return made.returncode == 0


class Network:
    """A network without a way out, and the nodes on it. Ends all that runs in it when the block ends."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(CODE),
            "HOME": "/tmp/home",
            "OMP_NUM_THREADS": "1",
        }

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        while not has_left(self._process.pid, "net"):
            time.sleep(0.01)
        for line in MAKE_NETWORK.strip().splitlines():
            subprocess.run([*self.enter, *line.split()], check=True)
        return self

    def __exit__(self, *_: object) -> None:
        for node in self.nodes:
            node.kill()
        self._process.kill()
        self._process.wait()

    @property
    def enter(self) -> list[str]:
        """The command before a command that shall run in the network, with this machine's files and processes."""
        return ["nsenter", "--net", "--target", str(self._process.pid)]

    def add_node(self) -> "Node":
        node = Node(self, f"{NETWORK}.{len(self.nodes) + 2}")
        self.nodes.append(node)
        return node


class Node:
    """A machine on a network, at an address."""

    def __init__(self, network: Network, address: str) -> None:
        self.address, self._environment = address, network.environment
        apart = ["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"]
        kept = [str(CODE), *([sys.prefix] if not Path(sys.prefix).is_relative_to(CODE) else [])]
        self._process = subprocess.Popen([*apart, "bash", "-c", MAKE_FILES, "node", *kept], stdout=subprocess.PIPE)
        assert self._process.stdout
        assert self._process.stdout.readline() == b"ready\n"
        [first] = psutil.Process(self._process.pid).children()
        self._first = first.pid
        self._pids = os.readlink(f"/proc/{self._first}/ns/pid")
        here = f"port{address.rpartition('.')[2]}"
        link = ["ip", "link", "add", here, "type", "veth", "peer", "name", "eth0", "netns", str(self._first)]
        subprocess.run([*network.enter, *link], check=True)
        subprocess.run([*network.enter, "ip", "link", "set", here, "master", "bridge", "up"], check=True)
        for part in (f"address add {address}/24 dev eth0", "link set eth0 up", "link set lo up"):
            subprocess.run(["nsenter", "--net", "--target", str(self._first), "ip", *part.split()], check=True)

    def start(self, *command: str, log: Path, **environment: str) -> subprocess.Popen[bytes]:
        """Start a command on this node; its output is appended to ``log``, a file of this machine.

        The command runs in the node's process namespace: end it with ``signal``, as the process returned here is the
        one that waits for it outside.
        """
        enter = ["nsenter", "--net", "--mount", "--pid", "--target", str(self._first)]
        with open(log, "ab") as output:
            return subprocess.Popen(
                [*enter, "env", "--chdir", str(CODE), *command],
                env={**self._environment, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def put_folder(self, folder: Path) -> None:
        """Copy a folder of this machine to the same place below the node's own /tmp."""
        packed = subprocess.Popen(["tar", "--create", "--absolute-names", str(folder)], stdout=subprocess.PIPE)
        self.feed("tar", "--extract", "--absolute-names", source=packed.stdout)
        assert packed.wait() == 0

    def feed(self, *command: str, source: IO[bytes] | None) -> None:
        """Run a command on this node with an input."""
        enter = ["nsenter", "--mount", "--pid", "--target", str(self._first)]
        subprocess.run([*enter, *command], stdin=source, check=True)

    def list_processes(self) -> list[psutil.Process]:
        """List what runs on this node, apart from its first process and the sleep that keeps it."""
        found = []
        for process in psutil.process_iter():
            try:
                inside = os.readlink(f"/proc/{process.pid}/ns/pid") == self._pids
                if inside and process.pid != self._first and process.cmdline() not in (["sleep", "infinity"], []):
                    found.append(process)
            except (OSError, psutil.Error):
                continue
        return found

    def find_processes(self, part: str) -> list[psutil.Process]:
        """List the processes on this node whose command line contains ``part``."""
        return [process for process in self.list_processes() if part in read_command(process)]

    def kill(self) -> None:
        """Kill all that runs on this node with -9."""
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()


def read_command(process: psutil.Process) -> str:
    """Return a process's command line; empty if it has ended."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def has_left(pid: int, kind: str) -> bool:
    """Return whether a process is in another namespace than this one."""
    return os.readlink(f"/proc/{pid}/ns/{kind}") != os.readlink(f"/proc/self/ns/{kind}")
