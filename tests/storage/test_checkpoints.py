import hashlib
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Barrier, Event

import pytest

from storage import UserError, locations
from storage.checkpoints import (
    MARKER,
    VERSION,
    find_newest_step,
    list_complete_steps,
    make_checkpoint_url,
    read_checkpoint,
    remove_checkpoint,
    write_checkpoint,
)
from storage.errors import NewerVersionError


@pytest.fixture(params=["file", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "run") if request.param == "file" else f"memory://{tmp_path.name}/run"


def test_the_newest_is_found_and_the_last_are_kept(url: str) -> None:
    assert find_newest_step(url) == 0
    for step in (5, 10, 15):
        write_checkpoint(url, step, f"state {step}".encode(), keep=2)
    assert list_complete_steps(url) == [10, 15]
    assert read_checkpoint(url, find_newest_step(url)) == b"state 15"
    remove_checkpoint(url, 10)
    assert list_complete_steps(url) == [15]


def test_two_who_write_the_same_steps_and_one_who_reads_them(url: str) -> None:
    """One is ahead of the other; each removes what is older than what it has written."""
    together, last, done = Barrier(2), 60, Event()

    def write(behind: float) -> None:
        together.wait()
        for step in range(1, last + 1):
            time.sleep(behind)
            write_checkpoint(url, step, f"state {step}".encode(), keep=1)

    def read() -> None:
        while not done.is_set():
            with suppress(FileNotFoundError):  # removed since, for there is a newer one
                if step := find_newest_step(url):
                    assert read_checkpoint(url, step) == f"state {step}".encode()

    with ThreadPoolExecutor(3) as threads:
        reading = threads.submit(read)
        try:
            list(threads.map(write, (0, 0.001)))
        finally:
            done.set()
        reading.result()
    assert list_complete_steps(url) == [last]
    assert read_checkpoint(url, last) == f"state {last}".encode()


def test_what_has_no_marker_is_no_checkpoint(tmp_path: Path) -> None:
    write_checkpoint(str(tmp_path), 5, b"whole", keep=2)
    cut_short = tmp_path / "checkpoints/step-00000010"
    cut_short.mkdir()
    (cut_short / "state.pt").write_bytes(b"a part")
    assert find_newest_step(str(tmp_path)) == 5
    write_checkpoint(str(tmp_path), 10, b"whole", keep=2)
    assert find_newest_step(str(tmp_path)) == 10


def write_by_version_1(url: str, step: int, state: bytes) -> None:
    locations.write_bytes(f"{make_checkpoint_url(url, step)}/state.pt", state)
    marker = {"step": step, "bytes": len(state), "sha256": hashlib.sha256(state).hexdigest()}
    locations.write_json(f"{make_checkpoint_url(url, step)}/manifest.json", marker)


def test_checkpoints_of_version_1_are_found_read_and_removed(url: str) -> None:
    for step in (5, 10):
        write_by_version_1(url, step, f"state {step}".encode())
    assert list_complete_steps(url) == [5, 10]
    assert read_checkpoint(url, 10) == b"state 10"
    write_checkpoint(url, 15, b"state 15", keep=2)
    assert list_complete_steps(url) == [10, 15]


def test_a_checkpoint_of_a_newer_version_is_named(url: str) -> None:
    write_checkpoint(url, 5, b"whole", keep=1)
    place = f"{make_checkpoint_url(url, 5)}/{MARKER}"
    locations.write_json(place, {**locations.read_json(place), "version": VERSION + 1, "codec": "zstd"})
    expected = f"expected a checkpoint of version {VERSION} or older, found {VERSION + 1} in .*; update latentcrf"
    with pytest.raises(NewerVersionError, match=expected):
        read_checkpoint(url, 5)


@pytest.mark.parametrize("name", ["state.pt", MARKER])
def test_a_damaged_checkpoint_is_named(url: str, name: str) -> None:
    write_checkpoint(url, 5, b"whole", keep=1)
    locations.write_bytes(f"{make_checkpoint_url(url, 5)}/{name}", b"[broken")
    with pytest.raises(UserError, match="step-00000005; delete that folder"):
        read_checkpoint(url, 5)
