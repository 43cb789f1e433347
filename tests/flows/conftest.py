"""A real Prefect server for the whole session, and inputs."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image, ImageDraw
from prefect.testing.utilities import prefect_test_harness


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    with prefect_test_harness(server_startup_timeout=600):
        yield


@pytest.fixture(scope="session")
def drawings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of ten small pictures; every other one has a caption beside it. Copy it before you change it."""
    folder = tmp_path_factory.mktemp("drawings")
    for number in range(10):
        picture = Image.new("RGB", (40, 40), "white")
        ImageDraw.Draw(picture).ellipse((number, 5, 20 + number, 35), fill=(25 * number, 80, 200))
        picture.save(folder / f"drawing-{number}.png")
        if number % 2:
            (folder / f"drawing-{number}.txt").write_text(f"ellipse number {number}")
    return folder


@pytest.fixture
def captions(tmp_path: Path) -> Path:
    file = tmp_path / "captions.txt"
    file.write_text("".join(f"a drawing of thing {number}\n" for number in range(6)))
    return file
