"""Decoders that crash, hang, leave or leak, as hostile bytes might make a real one do."""

import contextlib
import ctypes
import os
import re
import signal
import time
from pathlib import Path

from storage.inputs.decoding import Pixels
from storage.inputs.pixels import decode_image

LEAKED: list[bytes] = []


def segfault(data: bytes, size: int) -> Pixels:
    ctypes.string_at(0)
    return decode_image(data, size)


def compute_for_ever(data: bytes, size: int) -> Pixels:
    re.match(r"(a+)+$", "a" * 99 + "b")  # in C, and never gives the interpreter back
    return decode_image(data, size)


def wait_for_ever(data: bytes, size: int) -> Pixels:
    time.sleep(1_000_000)
    return decode_image(data, size)


def leave(data: bytes, size: int) -> Pixels:
    os._exit(0)


def leak(data: bytes, size: int) -> Pixels:
    with contextlib.suppress(MemoryError):
        while True:
            LEAKED.append(bytes(64 << 20))
    return decode_image(data, size)


def killed_once(marker: Path, data: bytes, size: int) -> Pixels:
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return decode_image(data, size)
