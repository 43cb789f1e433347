"""Real crashes, hangs and kills of real children."""

import functools
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest

from storage.inputs.decoding import Pixels, decode_apart
from storage.inputs.pixels import decode_image
from storage.inputs.rows import RejectedImageError
from tests.support.decoders import compute_for_ever, killed_once, leak, leave, segfault, wait_for_ever
from tests.support.pictures import encoded, noise, plain, png

ROOT = Path(__file__).parents[3]


def assert_next_is_fine() -> None:
    assert (decode_apart(plain("lime"), 8) == (0, 255, 0)).all()


def test_the_same_pixels_and_reasons_as_in_this_process() -> None:
    for data in (encoded(noise(64, 1)), encoded(noise(50, 2), "JPEG"), plain("red")):
        pixels = decode_apart(data, 16)
        assert pixels.shape == (16, 16, 3)
        assert pixels.dtype == np.uint8
        np.testing.assert_array_equal(pixels, decode_image(data, 16))
    for data in (b"", b"no image", encoded(noise())[:-40]):
        with pytest.raises(RejectedImageError) as here:
            decode_image(data, 16)
        with pytest.raises(RejectedImageError, match=f"^{re.escape(str(here.value))}$"):
            decode_apart(data, 16)


def test_a_crash_is_a_reason() -> None:
    with pytest.raises(RejectedImageError, match=r"^crashed its decoder$"):
        decode_apart(plain(), 8, decode=segfault)
    assert_next_is_fine()


@pytest.mark.parametrize("hang", [compute_for_ever, wait_for_ever, leave])
def test_a_hang_is_a_reason(hang: Callable[[bytes, int], Pixels]) -> None:
    with pytest.raises(RejectedImageError, match=r"^took longer than 0\.1 s to decode$"):
        decode_apart(plain(), 8, seconds=0.1, decode=hang)
    assert_next_is_fine()


def test_an_image_that_takes_too_long() -> None:
    with pytest.raises(RejectedImageError, match=r"^took longer than 0\.01 s to decode$"):
        decode_apart(png(8000, 8000, 1, 0, bytes(8000 * 1001)), 8, seconds=0.01)
    assert_next_is_fine()


def test_an_image_that_takes_too_much_memory() -> None:
    data = png(8000, 8000, 8, 0, bytes(8000 * 8001))
    with pytest.raises(RejectedImageError, match=r"^too large: out of memory$"):
        decode_apart(data, 8, memory=160 << 20)
    assert (decode_apart(data, 8) == 0).all()


def test_memory_that_a_decoder_keeps_costs_no_other_image() -> None:
    decode_apart(plain(), 8, decode=leak)
    assert (decode_apart(png(8000, 8000, 8, 0, bytes(8000 * 8001)), 8) == 0).all()


def test_a_child_that_is_killed_from_outside_costs_no_image(tmp_path: Path) -> None:
    decode = functools.partial(killed_once, tmp_path / "marker")
    assert (decode_apart(plain("lime"), 8, decode=decode) == (0, 255, 0)).all()
    [child] = multiprocessing.active_children()
    os.kill(child.pid or 0, signal.SIGKILL)
    assert_next_is_fine()


DECODES = """
import multiprocessing, sys, time
sys.path.insert(0, {root!r})
from storage.inputs.decoding import decode_apart
from tests.support.decoders import compute_for_ever
from tests.support.pictures import plain
decode_apart(plain(), 8)
print(multiprocessing.active_children()[0].pid, flush=True)
"""
HANGS = "decode_apart(plain(), 8, seconds=1, decode=compute_for_ever)"


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """One that starts at once when it is imported, as scripts do."""
    file = tmp_path / "script.py"
    file.write_text(DECODES.format(root=str(ROOT)))
    return file


def test_a_script_that_decodes_is_not_run_again_and_ends(script: Path) -> None:
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    assert (len(done.stdout.splitlines()), done.stderr) == (1, "")
    assert not psutil.pid_exists(int(done.stdout))


@pytest.mark.parametrize("then", ["time.sleep(1000)", HANGS])
def test_a_child_does_not_outlive_its_parent(script: Path, then: str) -> None:
    script.write_text(script.read_text() + then)
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        time.sleep(0.3)
        parent.kill()
    _, alive = psutil.wait_procs([child], timeout=300)
    assert not alive
