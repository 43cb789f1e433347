"""The cache of fetched models: several processes at once, one killed in the middle, a full disk."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from storage import locations
from storage.model_files.disk import VARIABLE
from storage.model_files.folders import local_folder
from tests.support import servers
from tests.support.counting_proxy import CountingProxy
from tests.support.nodes import can_make_nodes

FETCH = """
import sys
from storage import UserError
from storage.model_files.folders import local_folder
try:
    print(local_folder(sys.argv[1]), flush=True)
except UserError as error:
    print(error)
"""
WEIGHTS = "unet/diffusion_pytorch_model.safetensors"
WEIGHTS_BYTES = 32 << 20


@pytest.fixture
def url(gs_root: str, tmp_path: Path) -> str:
    url = f"{gs_root}/{tmp_path.name}/teacher"
    locations.write_bytes(f"{url}/model_index.json", b"{}")
    locations.write_bytes(f"{url}/{WEIGHTS}", os.urandom(WEIGHTS_BYTES))
    return url


@pytest.fixture
def environment(gs_address: str, tmp_path: Path) -> dict[str, str]:
    return {**os.environ, **servers.gcs_environment(gs_address), VARIABLE: str(tmp_path / "cache")}


def start(url: str, environment: dict[str, str], *before: str) -> "subprocess.Popen[str]":
    """Start a process that fetches the model, by way of the command ``before``."""
    command = [*before, sys.executable, "-c", FETCH, url]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_processes_at_once_fetch_each_file_once(url: str, gs_address: str, environment: dict[str, str]) -> None:
    with CountingProxy(gs_address, servers.free_port()) as proxy:
        through = {**environment, "STORAGE_EMULATOR_HOST": proxy.address}
        processes = [start(url, through) for _ in range(3)]
        told = [process.communicate() for process in processes]
    assert len({folder for folder, _ in told}) == 1, told
    assert proxy.downloads == {"model_index.json": 1, Path(WEIGHTS).name: 1}


def test_a_process_killed_in_the_middle_leaves_nothing_that_counts(
    url: str, environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = start(url, environment)
    while not (parts := list((tmp_path / "cache").rglob(f"{Path(WEIGHTS).name}.*.part"))):
        assert process.poll() is None, process.communicate()
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    if parts[0].exists():  # else it came a moment too late, and the model is whole
        assert not list((tmp_path / "cache").rglob(Path(WEIGHTS).name))
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    assert (Path(local_folder(url)) / WEIGHTS).read_bytes() == locations.read_bytes(f"{url}/{WEIGHTS}")
    assert not list((tmp_path / "cache").rglob("*.part"))


@pytest.mark.skipif(not can_make_nodes(), reason="mounts a disk: needs root")
def test_a_full_disk_is_told_and_leaves_nothing(url: str, environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    mount = f"mount -t tmpfs -o size={WEIGHTS_BYTES // 2} tmpfs {tmp_path / 'cache'}"
    process = start(
        url, environment, "unshare", "--mount", "bash", "-c", f'{mount} && "$@"; find {tmp_path}/cache/*/', "-"
    )
    told, _ = process.communicate()
    assert told.startswith(f"expected 33.6 MB ({WEIGHTS_BYTES + len('{}')} bytes) of room in "), told
    assert f"set {VARIABLE} to a folder on a larger disk" in told
    assert ".part" not in told


def test_a_disk_that_fills_while_a_file_comes_is_told(url: str, environment: dict[str, str], tmp_path: Path) -> None:
    """As when another program writes there too: here by the largest size of a file that the process may write."""
    limit = shutil.which("prlimit") or ""
    process = start(url, environment, limit, f"--fsize={WEIGHTS_BYTES // 2}")
    told, error = process.communicate()
    assert told.startswith("expected 33.6 MB (33554432 bytes) of room in "), told + error
    assert not list((tmp_path / "cache").rglob("*.part"))
