"""Fixtures of all packages."""

from pathlib import Path

import pytest

from tests.tiny import save_tiny_teacher


@pytest.fixture(scope="session")
def tiny_teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random teacher for 32 px: 4x4x8 latents. Not to be changed; copy it."""
    return save_tiny_teacher(tmp_path_factory.mktemp("teacher"))
