"""Servers that speak GCS and S3 for the whole session, and a root on each kind of file system."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import servers


@pytest.fixture(scope="session")
def gs_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with servers.serve_gcs(tmp_path_factory.mktemp("gcs")) as address:
        yield address


@pytest.fixture
def gs_root(gs_address: str) -> Iterator[str]:
    """A gs:// bucket for one test: other packages' tests, in the same process, have a server of their own."""
    with servers.options("gs", **servers.gs_options(gs_address)):
        yield "gs://bucket"


@pytest.fixture(scope="session")
def s3_address() -> Iterator[str]:
    with servers.serve_s3() as address:
        yield address


@pytest.fixture
def s3_root(s3_address: str) -> Iterator[str]:
    """An s3:// bucket for one test."""
    with servers.options("s3", **servers.s3_options(s3_address)):
        yield "s3://bucket"


@pytest.fixture(params=["file", "memory", "gs", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new URL on each kind of file system in turn."""
    name = uuid.uuid4().hex
    if request.param == "file":
        return f"file://{tmp_path}/{name}"
    if request.param == "memory":
        return f"memory://{name}"
    return f"{request.getfixturevalue(f'{request.param}_root')}/{name}"
