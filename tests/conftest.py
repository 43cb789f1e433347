"""Fixtures of all packages.

What they need is imported in them: pytest's first process, which runs no test, reads this file too.
"""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

# On a busy machine an example takes long: that fails no test.
hypothesis.settings.register_profile("untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("untimed")


@pytest.fixture(scope="session")
def tiny_teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random teacher for 32 px: 4x4x8 latents. Copy it before you change it."""
    from tests.support.teachers import save_tiny_teacher

    return save_tiny_teacher(tmp_path_factory.mktemp("teacher"))


@pytest.fixture(scope="session")
def gcs_root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A gs:// bucket on a local server. Its address is in the environment, so it starts before Ray."""
    from tests.support import servers

    with servers.serve_gcs(tmp_path_factory.mktemp("gcs")) as address:
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        os.environ.update(servers.gcs_environment(address))
        yield "gs://bucket"


@pytest.fixture(scope="session")
def ray_local(gcs_root: str) -> Iterator[None]:
    """Ray with one core, so one model actor per job: importing torch and diffusers is most of what a tiny job costs."""
    import ray

    from flows.ray_session import start_local_ray

    start_local_ray(num_cpus=1)
    try:
        yield
    finally:
        ray.shutdown()


@pytest.fixture
def latentcrf(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run ``latentcrf`` with arguments; return its exit code, its output and its errors."""

    from flows.cli import main

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["latentcrf", *arguments])
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run
