"""Credentials, each with a canary in it, are in nothing that a run leaves: objects, logs, a database, messages."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import servers

CANARY = "c4n4ry"


@pytest.fixture
def ray_folder() -> Iterator[Path]:
    """A folder for Ray's logs, with a short path: Ray's sockets are in it."""
    folder = Path(tempfile.mkdtemp(prefix="ray"))
    yield folder
    shutil.rmtree(folder)


def find_canaries(*folders: Path) -> list[str]:
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert files
    return [str(path) for path in files if CANARY.encode() in path.read_bytes()]


def test_no_credential_is_left_behind(tiny_teacher: Path, tmp_path: Path, ray_folder: Path) -> None:
    (tmp_path / "captions.txt").write_text("a thing\nanother\n")
    with servers.serve_gcs(tmp_path / "gcs") as address:
        own = {name: value for name, value in os.environ.items() if name not in ("RAY_ADDRESS", "PREFECT_API_URL")}
        environment = {
            **own,
            **servers.gcs_environment(address),
            "FSSPEC_GS_TOKEN": f"{CANARY}-in-use",
            "FSSPEC_S3_SECRET": f"{CANARY}-options",
            "AWS_SECRET_ACCESS_KEY": f"{CANARY}-environment",
            "HF_TOKEN": f"{CANARY}-hub",
            "PREFECT_HOME": str(tmp_path / "prefect"),
            "PREFECT_LOGGING_LEVEL": "DEBUG",
            "RAY_TMPDIR": str(ray_folder),
        }

        def run(**options: str) -> subprocess.CompletedProcess[str]:
            values = {"captions": str(tmp_path / "captions.txt"), "teacher": str(tiny_teacher), "root": "gs://bucket/a"}
            arguments = [part for name, value in {**values, **options}.items() for part in (f"--{name}", value)]
            command = [sys.executable, "-c", "from flows.cli import main; main()", "teach", *arguments]
            return subprocess.run(command, env=environment, capture_output=True, text=True)

        good = run()
        missing = run(teacher="gs://bucket/none")
        refused = run(teacher=f"gs://bucket/a?token={CANARY}-url")
    assert good.returncode == 0, good.stderr
    assert (missing.returncode, refused.returncode) == (2, 2)
    for done in (good, missing, refused):
        assert CANARY not in done.stdout + done.stderr
    assert find_canaries(tmp_path / "gcs", tmp_path / "prefect", ray_folder) == []
