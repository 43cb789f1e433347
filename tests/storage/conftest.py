"""Servers that speak GCS and S3, for all of the package's tests."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import servers


@pytest.fixture(scope="session")
def gs_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    folder, port = tmp_path_factory.mktemp("gcs"), servers.free_port()
    (folder / "bucket").mkdir()
    process = servers.start_gcs(folder, port, f"http://127.0.0.1:{port}")
    try:
        yield port
    finally:
        servers.stop(process)


@pytest.fixture
def gs_root(gs_port: int) -> Iterator[str]:
    """For one test: other packages' tests, in the same process, have a server of their own."""
    with servers.options("gs", **servers.gs_options(f"http://127.0.0.1:{gs_port}")):
        yield "gs://bucket"


@pytest.fixture(scope="session")
def s3_port() -> Iterator[int]:
    port = servers.free_port()
    process = servers.start_s3(port)
    try:
        yield port
    finally:
        servers.stop(process)


@pytest.fixture
def s3_root(s3_port: int) -> Iterator[str]:
    with servers.options("s3", **servers.s3_options(f"http://127.0.0.1:{s3_port}")):
        yield "s3://bucket"


@pytest.fixture(params=["file", "memory", "gs", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    name = uuid.uuid4().hex
    if request.param == "file":
        return f"file://{tmp_path}/{name}"
    if request.param == "memory":
        return f"memory://{name}"
    return f"{request.getfixturevalue(f'{request.param}_root')}/{name}"
