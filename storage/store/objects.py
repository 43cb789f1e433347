"""Read parts of an object: a local file stays open, any other object is fetched whole.

Local files are not mapped into memory. A mapped page's first access costs a page fault every few rows, as much as
copying them, and if a file is truncated while it is mapped, the process dies.
"""

import os
import weakref

from storage import locations
from storage.endpoints import translate_errors
from storage.store.layout import Array

Place = Array | bytearray
"""A buffer to fill: an array of uint8, or a bytearray."""


class LocalFile:
    """An open local file, closed once nothing refers to it. ``size`` is in bytes."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)
        self.size = os.fstat(self._file).st_size

    def read_into(self, start: int, *places: Place) -> int:
        """Fill the buffers, in order, with the bytes from ``start`` on. Returns the number of bytes read."""
        return os.preadv(self._file, places, start)  # type: ignore[arg-type]  # numpy's arrays are buffers

    def read_ahead(self) -> None:
        """Ask the system to start reading the whole file. Returns at once."""
        if hasattr(os, "posix_fadvise"):  # Linux has it, macOS does not
            os.posix_fadvise(self._file, 0, 0, os.POSIX_FADV_WILLNEED)


class FetchedObject:
    """An object's bytes in memory, with the methods of ``LocalFile``."""

    def __init__(self, data: bytes) -> None:
        self._bytes, self.size = memoryview(data), len(data)

    def read_into(self, start: int, *places: Place) -> int:
        """Fill the buffers, in order, with the bytes from ``start`` on. Returns the number of bytes read."""
        end = start
        for place in places:
            part = self._bytes[end : end + len(place)]
            place[: len(part)] = part
            end += len(part)
        return end - start

    def read_ahead(self) -> None:
        """Do nothing: the object is already in memory."""


Object = LocalFile | FetchedObject


def open_object(url: str) -> Object:
    """Open an object to read parts of it. Raises FileNotFoundError if there is none, and EndpointError."""
    path = locations.find_local_path(url)
    with translate_errors(url):
        return FetchedObject(locations.read_bytes(url)) if path is None else LocalFile(path)
