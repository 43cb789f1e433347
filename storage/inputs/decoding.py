"""Decode images in a child process, so that an image which crashes, hangs or fills its decoder costs only its row."""

import functools
import resource
import signal
import sys
from collections.abc import Callable
from multiprocessing.context import SpawnContext, SpawnProcess
from types import ModuleType

import numpy as np
import numpy.typing as npt
from pebble import ProcessExpired, ProcessPool

from storage.inputs.pixels import decode_image
from storage.inputs.rows import RejectedImageError

Pixels = npt.NDArray[np.uint8]

SECONDS = 60.0
"""CPU time per image, which a busy machine does not stretch. The slowest image that can be decoded takes 11 s."""
PATIENCE = 10
"""Times ``SECONDS`` by the clock, for a decoder that waits and computes nothing."""
MEMORY = 6 << 30
"""Bytes of writable memory per child. The largest image takes 2 GiB; numpy reserves up to 2.6, by its threads."""
TIMED_OUT = (-signal.SIGPROF, -signal.SIGALRM)
TRIES = 2
"""A child may also be killed from outside, or have leaked its memory while it decoded an earlier image."""


def decode_apart(
    data: bytes,
    size: int,
    seconds: float = SECONDS,
    memory: int = MEMORY,
    decode: Callable[[bytes, int], Pixels] = decode_image,
) -> Pixels:
    """Run ``decode_image`` in this process's own child, which is kept. Call it from one thread at a time.

    Returns (size, size, 3) uint8. Raises RejectedImageError, whatever the bytes are and do, and RuntimeError if no
    child can be started. ``decode`` is for tests with decoders that crash.
    """
    for _ in range(TRIES):
        pool = _start_child()
        try:
            return pool.schedule(_decode_bounded, (seconds, memory, decode, data, size)).result(PATIENCE * seconds)
        except (
            ProcessExpired,
            TimeoutError,
            MemoryError,
            RuntimeError,
        ) as end:  # RuntimeError: it died before the task began
            _start_child.cache_clear()  # the whole pool: the dead process may hold its locks
            pool.stop()  # type: ignore[no-untyped-call]
            pool.join()
            if isinstance(end, TimeoutError) or getattr(end, "exitcode", 0) in TIMED_OUT:
                raise RejectedImageError(f"took longer than {seconds:g} s to decode") from None
            reason = "too large: out of memory" if isinstance(end, MemoryError) else "crashed its decoder"
    raise RejectedImageError(reason)


@functools.cache
def _start_child() -> ProcessPool:
    """A pool of one. Its first task does nothing, so that a child which cannot start rejects no image."""
    pool = ProcessPool(1, context=_Spawn())
    pool.schedule(bool).result()
    return pool


def _decode_bounded(
    seconds: float, memory: int, decode: Callable[[bytes, int], Pixels], data: bytes, size: int
) -> Pixels:
    """Decode in the child. The kernel ends it when its time is up, even inside C code or without its parent."""
    resource.setrlimit(resource.RLIMIT_DATA, (memory, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE * seconds)
    try:
        return decode(data, size)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)


class _Process(SpawnProcess):
    """A child that does not import the parent's main module again: a user's script, or Ray's worker with all of Ray."""

    def start(self) -> None:
        main, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
        try:
            super().start()
        finally:
            sys.modules["__main__"] = main


class _Spawn(SpawnContext):
    Process = _Process
