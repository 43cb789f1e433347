"""Fixtures of all packages."""

import sys
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def tiny_teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random teacher for 32 px: 4x4x8 latents. Not to be changed; copy it."""
    from tests.support.teachers import (
        save_tiny_teacher,  # here, as pytest's first process, which runs no test, reads this file too
    )

    return save_tiny_teacher(tmp_path_factory.mktemp("teacher"))


@pytest.fixture
def latentcrf(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command -> its exit code, its output, its errors."""

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
