"""Decode images in a child process, so that an image that crashes or hangs its decoder costs only its own row."""

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
"""CPU time per image, which does not depend on the machine's load. The slowest valid image takes 11 s."""
PATIENCE = 10
"""Limit of elapsed time, in multiples of ``SECONDS``, for a decoder that waits without computing."""
MEMORY = 6 << 30
"""Bytes of writable memory per child. The largest image takes 2 GiB; NumPy's threads reserve up to 2.6 GiB."""
TIMED_OUT = (-signal.SIGPROF, -signal.SIGALRM)
TRIES = 2
"""Attempts per image: a child may also be killed from outside, or have leaked memory on an earlier image."""


def decode_apart(
    data: bytes,
    size: int,
    seconds: float = SECONDS,
    memory: int = MEMORY,
    decode: Callable[[bytes, int], Pixels] = decode_image,
) -> Pixels:
    """Run ``decode_image`` in a child process, which is kept for further calls. Not thread-safe.

    Args:
        data: The encoded image.
        size: Pixels per side of the result.
        seconds: Limit of CPU time per image. Default ``SECONDS``.
        memory: Limit of the child's writable memory in bytes. Default ``MEMORY``.
        decode: The decoder to run; tests pass decoders that crash. Default ``decode_image``.

    Returns:
        Pixels, uint8 (size, size, 3).

    Raises:
        RejectedImageError: The image cannot be decoded, whatever its bytes did to the decoder.
        RuntimeError: No child can be started.
    """
    for _ in range(TRIES):
        pool = _start_child()
        try:
            return pool.schedule(_decode_bounded, (seconds, memory, decode, data, size)).result(PATIENCE * seconds)
        # RuntimeError: the child died before the task began.
        except (ProcessExpired, TimeoutError, MemoryError, RuntimeError) as end:
            _start_child.cache_clear()  # the whole pool, because the dead process may hold its locks
            pool.stop()  # type: ignore[no-untyped-call]
            pool.join()
            if isinstance(end, TimeoutError) or getattr(end, "exitcode", 0) in TIMED_OUT:
                raise RejectedImageError(f"took longer than {seconds:g} s to decode") from None
            reason = "too large: out of memory" if isinstance(end, MemoryError) else "crashed its decoder"
    raise RejectedImageError(reason)


@functools.cache
def _start_child() -> ProcessPool:
    """Start a pool of one child. Its first task does nothing, so that a child that cannot start rejects no image."""
    pool = ProcessPool(1, context=_Spawn())
    pool.schedule(bool).result()
    return pool


def _decode_bounded(
    seconds: float, memory: int, decode: Callable[[bytes, int], Pixels], data: bytes, size: int
) -> Pixels:
    """Decode in the child. The kernel ends it at its time limit, even inside C code or after its parent's death."""
    resource.setrlimit(resource.RLIMIT_DATA, (memory, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE * seconds)
    try:
        return decode(data, size)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)


class _Process(SpawnProcess):
    """A child that does not import the parent's main module, which is a user's script or Ray's worker."""

    def start(self) -> None:
        main, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
        try:
            super().start()
        finally:
            sys.modules["__main__"] = main


class _Spawn(SpawnContext):
    Process = _Process
