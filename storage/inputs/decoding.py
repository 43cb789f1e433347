"""Decoding in a child process, so that bytes which crash, hang or fill their decoder cost a row and nothing else."""

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

from storage.inputs.pixels import RejectedImageError, decode_image

Pixels = npt.NDArray[np.uint8]

SECONDS = 60.0
"""Of a processor's own time, which a busy machine does not stretch. The slowest image that is decoded takes 11."""
PATIENCE = 10
"""So many times as long by the clock, for what waits and computes nothing."""
MEMORY = 6 << 30
"""Bytes that a child may have to write to. The largest image takes 2 GiB; numpy claims up to 2.6, by the cores."""
TIMED_OUT = (-signal.SIGPROF, -signal.SIGALRM)
TRIES = 2
"""A child may also be killed from outside, or have lost its memory to an earlier image's decoder."""


def decode_apart(
    data: bytes,
    size: int,
    seconds: float = SECONDS,
    memory: int = MEMORY,
    decode: Callable[[bytes, int], Pixels] = decode_image,
) -> Pixels:
    """``decode_image``, in a child that is this process's own and is kept; from one thread at a time.

    -> (size, size, 3) uint8. Raises RejectedImageError, whatever the bytes are and do; RuntimeError where no
    child can be started. ``decode``: for tests, whose decoders crash.
    """
    for _ in range(TRIES):
        pool = _child()
        try:
            return pool.schedule(_bounded, (seconds, memory, decode, data, size)).result(PATIENCE * seconds)
        except (ProcessExpired, TimeoutError, MemoryError, RuntimeError) as end:  # the last: dead before it began
            _child.cache_clear()  # the whole pool, as whoever died may hold its locks
            pool.stop()  # type: ignore[no-untyped-call]
            pool.join()
            if isinstance(end, TimeoutError) or getattr(end, "exitcode", 0) in TIMED_OUT:
                raise RejectedImageError(f"took longer than {seconds:g} s to decode") from None
            reason = "too large: out of memory" if isinstance(end, MemoryError) else "crashed its decoder"
    raise RejectedImageError(reason)


@functools.cache
def _child() -> ProcessPool:
    """A pool of one. Its first task is none: what keeps a child from starting is no image's fault."""
    pool = ProcessPool(1, context=_Spawn())
    pool.schedule(bool).result()
    return pool


def _bounded(seconds: float, memory: int, decode: Callable[[bytes, int], Pixels], data: bytes, size: int) -> Pixels:
    """In the child, which the kernel ends when its time is up: also in the midst of C, and when the parent is gone."""
    resource.setrlimit(resource.RLIMIT_DATA, (memory, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE * seconds)
    try:
        return decode(data, size)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)


class _Process(SpawnProcess):
    """A child that does not run the parent's main module again: a user's script, or Ray's worker with all of Ray."""

    def start(self) -> None:
        main, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
        try:
            super().start()
        finally:
            sys.modules["__main__"] = main


class _Spawn(SpawnContext):
    Process = _Process
