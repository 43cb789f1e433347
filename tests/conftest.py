"""Fixtures of all packages."""

import sys
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest

# On a busy machine an example takes long: that fails no test.
hypothesis.settings.register_profile("untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("untimed")


@pytest.fixture(scope="session")
def tiny_teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random teacher for 32 px: 4x4x8 latents. Copy it before you change it."""
    # Here, as pytest's first process, which runs no test, reads this file too.
    from tests.support.teachers import save_tiny_teacher

    return save_tiny_teacher(tmp_path_factory.mktemp("teacher"))


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
