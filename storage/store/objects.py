"""Read parts of an object: a local file stays open, any other object is fetched whole.

A local file is not mapped into memory. The first access to a mapped page costs a page fault every few rows, as much
as copying them, and a file that is cut off while it is mapped ends the process.
"""

import os
import weakref

from storage import locations
from storage.endpoints import translate_errors
from storage.store.layout import Array

Place = Array | bytearray
"""Where to put bytes: an array of uint8, or a bytearray."""


class LocalFile:
    """An open file, closed when nothing refers to it any more. ``size`` is in bytes."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)
        self.size = os.fstat(self._file).st_size

    def read_into(self, start: int, *places: Place) -> int:
        """Fill the places, one after the other, with the bytes from ``start`` on. Returns how many there were."""
        return os.preadv(self._file, places, start)  # type: ignore[arg-type]  # numpy's arrays are buffers

    def read_ahead(self) -> None:
        """Let the system begin to read the whole file, without waiting for it."""
        if hasattr(os, "posix_fadvise"):  # Linux has it, macOS does not
            os.posix_fadvise(self._file, 0, 0, os.POSIX_FADV_WILLNEED)


class FetchedObject:
    """The bytes of an object, in memory; the same methods as ``LocalFile``."""

    def __init__(self, data: bytes) -> None:
        self._bytes, self.size = memoryview(data), len(data)

    def read_into(self, start: int, *places: Place) -> int:
        """Fill the places, one after the other, with the bytes from ``start`` on. Returns how many there were."""
        end = start
        for place in places:
            part = self._bytes[end : end + len(place)]
            place[: len(part)] = part
            end += len(part)
        return end - start

    def read_ahead(self) -> None:
        """Do nothing: all of it is in memory."""


Object = LocalFile | FetchedObject


def open_object(url: str) -> Object:
    """Open an object to read parts of it. Raises FileNotFoundError and EndpointError."""
    path = locations.local_path(url)
    with translate_errors(url):
        return FetchedObject(locations.read_bytes(url)) if path is None else LocalFile(path)
